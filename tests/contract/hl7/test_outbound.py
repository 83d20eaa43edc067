"""Messages of every kind to a receiver that is not ours: python-hl7 reads and acknowledges them."""

import asyncio
import threading
from contextlib import contextmanager

import hl7
from hl7.mllp import start_hl7_server

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.identity import service as identity
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.domain.reporting import service as reporting
from isocenter.domain.scheduling import service as scheduling
from isocenter.infra.clock import utc_now
from isocenter.infra.outbox import Dispatcher
from isocenter.readmodels import identity_deliveries, interface_health
from tests import builders
from tests.builders import a_patient, an_identifier, an_order
from tests.contract.hl7.test_sending import ACTOR, add_peer, eventually, sending

EVERYTHING = frozenset({"oru", "orm", "omi", "adt", "siu", "dft"})


@contextmanager
def third_party_receiver(answer):
    """python-hl7's server; gives its port and what it received."""
    received: list[hl7.Message] = []

    async def serve(reader, writer):
        while not writer.is_closing():
            try:
                message = await reader.readmessage()
            except asyncio.IncompleteReadError:
                break
            received.append(message)
            writer.writemessage(answer(message))
            await writer.drain()

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = asyncio.run_coroutine_threadsafe(
        start_hl7_server(serve, "127.0.0.1", 0, encoding="utf-8"), loop
    ).result(5)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)


def test_every_kind_goes_one_way_and_is_proven(make_database):
    table = router(archive_signed=False)
    database = make_database(router=table)

    def refuse_charges(message: hl7.Message) -> hl7.Message:
        return message.create_ack("AE" if str(message.segment("MSH")[9][0][0]) == "DFT" else "AA")

    def do(verb, *args, **kwargs):
        with database.transaction() as tx:
            done = verb(tx, *args, now=utc_now(), **kwargs)
        Dispatcher(database, table, clock=utc_now, workers=1).run_once()
        return done

    def deliveries():
        with database.read() as tx:
            return distribution.deliveries(tx, Viewer.of(ACTOR, Action.DELIVERY_READ))

    with third_party_receiver(refuse_charges) as (port, received):
        add_peer(database, port, "ENGINE", send=EVERYTHING, ack_timeout_s=5.0)
        patient = a_patient("P1", person_name="Phantom^Zoë")
        do(scheduling.place_order, builders.EHR, patient, an_order("PL1", accession_number="A1"))
        do(identity.merge, builders.EHR, a_patient("P1", at=0), [an_identifier("P2")])
        do(scheduling.complete, ACTOR, "A1")
        report = do(reporting.draft, ACTOR, "A1", "Normal.")
        do(reporting.sign, ACTOR, report.report_id)
        with sending(database):
            eventually(lambda: {e.state.value for e in deliveries()} == {"acknowledged", "refused"})
        kinds = [str(each.segment("MSH")[9][0][0]) for each in received]
        assert sorted(set(kinds)) == ["ADT", "DFT", "OMI", "ORM", "ORU", "SIU"]
    refused = [each for each in deliveries() if each.state.value == "refused"]
    assert [each.kind for each in refused] == ["charge"]
    with database.read() as tx:
        logged = peers.search_messages(tx, ACTOR, MessageFilter(direction="out", peer="ENGINE"))
        (health,) = interface_health.interfaces(
            tx, Viewer.of(ACTOR, Action.PEER_READ), now=utc_now()
        )
        (proof,) = identity_deliveries.about(tx, Viewer.of(ACTOR, Action.PATIENT_READ), [1, 2])
    assert {"ADT^A28", "ADT^A40", "ORM^O01", "OMI^O23", "SIU^S12", "DFT^P03", "ORU^R01"} == {
        each.message_type for each in logged
    }
    assert {each.patient_id for each in logged} == {"P1"}
    assert {each.acknowledgement_code for each in logged} == {"AA", "AE"}
    assert (health.parked, health.waiting) == (1, 0)
    assert (proof.occasion, proof.recipient, proof.state) == ("A40", "ENGINE", "acknowledged")
