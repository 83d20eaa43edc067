"""Messages of several connections in one transaction, on a real database."""

import asyncio

import pytest

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer, MessageFilter
from isocenter.gateways.hl7.admission import Admission, AdmissionLimits
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.receive import Caller
from isocenter.infra.clock import utc_now
from isocenter.infra.pools import Pool
from tests.e2e.hl7_peers import order, registration

EHR = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt", "orm"}))
CALLER = Caller("127.0.0.1", (EHR,))
SYSTEM = Actor.system("test")


@pytest.fixture
def answers(database):
    """Replies to messages that wait while one is being applied, and so make one batch."""
    pool = Pool(database, threads=4)

    async def run(messages):
        limits = AdmissionLimits(patience_s=30.0, gathering_s=0.01, beside_min=100)
        admission = Admission(pool, ReceiveOptions(), utc_now, limits)
        opener = registration("OPENER", "Phantom^Opener", control_id="opener")
        found = await asyncio.gather(
            admission.answer(opener, CALLER),
            *(admission.answer(each, CALLER) for each in messages),
        )
        return found[1:]

    yield lambda *messages: asyncio.run(run(messages))
    pool.close()


def transactions(database) -> int:
    """How many transactions recorded the messages other than the opener."""
    with database.read() as tx:
        return tx.value(
            "select count(distinct xmin::text) from peers.message where control_id <> 'opener'"
        )


def test_messages_that_wait_share_a_transaction(database, answers):
    replies = answers(
        *(registration(f"P{n}", f"Phantom^P{n}", control_id=f"a{n}") for n in range(4)),
        *(
            order(f"Q{n}", f"Phantom^Q{n}", control_id=f"o{n}", placer=f"O{n}", accession=f"ACC{n}")
            for n in range(4)
        ),
    )
    assert [(each.code.value, each.control_id) for each in replies] == [
        ("AA", each) for each in ("a0", "a1", "a2", "a3", "o0", "o1", "o2", "o3")
    ]
    assert transactions(database) == 1
    with database.read() as tx:
        for n in range(4):
            assert identity.find(tx, f"P{n}").person_name == f"Phantom^P{n}"
            exam = orders.exam(tx, f"ACC{n}")
            assert identity.patient(tx, exam.order.patient_key).person_name == f"Phantom^Q{n}"
            assert exam.order.placer_order_number == f"O{n}"


def test_a_message_that_cannot_be_applied_harms_no_other(database, answers):
    (taken,) = answers(order("P1", "Phantom^One", control_id="1", placer="O1", accession="TAKEN"))
    assert taken.code.value == "AA"
    replies = answers(
        registration("P2", "Phantom^Two", control_id="2"),
        order("P3", "Phantom^Three", control_id="3", placer="O3", accession="TAKEN"),
        b"MSH|^~\\&|EHR|HOSPITAL|||||ADT^A04|4|P|2.5.1\r",
        registration("P5", "Phantom^Five", control_id="5"),
    )
    assert [each.code.value for each in replies] == ["AA", "AE", "AE", "AA"]
    with database.read() as tx:
        assert identity.find(tx, "P2") is not None
        assert identity.find(tx, "P3") is None
        (refused,) = peers.search_messages(tx, SYSTEM, MessageFilter(control_id="3"))
    assert refused.error == "the accession number belongs to another patient's exam"


def test_a_repetition_among_others_gets_its_first_answer(answers):
    said = registration("P1", "Phantom^One", control_id="1")
    (first,) = answers(said)
    again, other = answers(said, registration("P2", "Phantom^Two", control_id="2"))
    assert again.repeated
    assert again.acknowledgement == first.acknowledgement
    assert other.code.value == "AA"


def test_messages_about_one_patient_are_applied_in_their_order(database, answers):
    replies = answers(
        registration("P1", "Phantom^First", control_id="1"),
        registration("P2", "Phantom^Other", control_id="2"),
        registration("P1", "Phantom^Second", control_id="3"),
        registration("P9", "Phantom^Prior", control_id="4", event="A40", merged="P1"),
    )
    assert [each.code.value for each in replies] == ["AA"] * 4
    with database.read() as tx:
        assert identity.find(tx, "P1").person_name == "Phantom^Prior"
        survivor = identity.find(tx, "P1")
        named = tx.value(
            "select person_name from identity.patient p join"
            " identity.patient_identifier using (patient_key) where value = 'P1'"
        )
    assert named == "Phantom^Second"
    assert "P1" in {each.value for each in survivor.alias_identifiers}


def test_whoever_sends_at_once_shares_the_next_transaction_with_those_who_wait(database):
    pool = Pool(database, threads=4)

    async def send(admission, name, count):
        for n in range(1, count + 1):
            said = registration(f"{name}{n}", f"Phantom^{name}", control_id=f"{name}{n}")
            await admission.answer(said, CALLER, is_prompt=True)

    async def run():
        limits = AdmissionLimits(patience_s=30.0, gathering_s=30.0)
        admission = Admission(pool, ReceiveOptions(), utc_now, limits)
        await asyncio.gather(send(admission, "A", 4), send(admission, "B", 3))

    asyncio.run(run())
    pool.close()
    # A1 was alone; then B1 with A2, B2 with A3, B3 with A4.
    assert transactions(database) == 4


def test_several_that_wait_do_not_wait_for_one_that_is_at_work(database, answers):
    answers(registration("P1", "Phantom^One", control_id="known"))
    pool = Pool(database, threads=4)

    async def run():
        limits = AdmissionLimits(patience_s=600.0, beside_min=2)
        admission = Admission(pool, ReceiveOptions(), utc_now, limits)
        with database.transaction() as tx:
            tx.run("select from identity.patient for update")
            held = asyncio.create_task(
                admission.answer(registration("P1", "Phantom^Uno", control_id="held"), CALLER)
            )
            others = await asyncio.gather(
                *(
                    admission.answer(
                        registration(f"Q{n}", f"Phantom^Q{n}", control_id=f"q{n}"), CALLER
                    )
                    for n in range(3)
                )
            )
            was_held = not held.done()
        return was_held, [*others, await held]

    was_held, replies = asyncio.run(run())
    pool.close()
    assert was_held
    assert {each.code.value for each in replies} == {"AA"}
