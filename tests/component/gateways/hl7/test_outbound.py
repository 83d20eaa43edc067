"""Who is told what in HL7 when something happens, read by python-hl7."""

from dataclasses import replace
from datetime import timedelta

import hl7
import pytest

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Page, Superseded
from isocenter.domain.distribution.model_messages import MessageKind
from isocenter.domain.identity import service as identity
from isocenter.domain.orders.model import OrderReference
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import HL7_SENT, Hl7Peer
from isocenter.domain.peers.model_meaning import Meaning
from isocenter.domain.reporting import service as reporting
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model_appointments import AppointmentFacts
from isocenter.gateways.hl7 import outbound, trial
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.known import known_of
from isocenter.infra.db import Tx
from isocenter.infra.outbox import Dispatcher
from tests import builders
from tests.builders import NOON, a_patient, a_procedure, a_step, an_identifier, an_order
from tests.fakes.clock import FixedClock

EHR, PERSON, SYSTEM = builders.EHR, builders.PERSON, builders.SYSTEM


class Hospital:
    """The product's services and reactions; what is sent is taken by nobody and read here."""

    def __init__(self, make_database) -> None:
        self.router = router(archive_signed=False)
        self.database = make_database(router=self.router)
        self.clock = FixedClock()
        self.now = NOON

    def peer(self, name: str, *send: str, **more) -> None:
        values = {"application": name, "facility": "H", **more}
        peer = Hl7Peer(name, "127.0.0.1", 2576, send=frozenset(send), **values)
        with self.database.transaction() as tx:
            peers.add_hl7_peer(tx, SYSTEM, peer, now=NOON)

    def do(self, verb, *args, **kwargs):
        """One fact, and everything that follows from it."""
        self.now += timedelta(seconds=1)
        with self.database.transaction() as tx:
            done = verb(tx, *args, now=self.now, **kwargs)
        self.clock.now = self.now
        Dispatcher(self.database, self.router, clock=self.clock, workers=1).run_once()
        with self.database.transaction() as tx:
            assert tx.values("select last_error from outbox.delivery where last_error <> ''") == []
        return done

    def order(self, number: str = "A1", actor=EHR, **said) -> None:
        order = an_order(f"PL-{number}", accession_number=number, **said)
        self.do(scheduling.place_order, actor, a_patient("P1", person_name="Phantom^Ada"), order)

    def deliveries(self, recipient: str) -> list:
        with self.database.read() as tx:
            found = distribution.deliveries(tx, Viewer.of(SYSTEM, Action.DELIVERY_READ))
        return [each for each in reversed(found) if each.recipient == recipient]

    def occasions(self, recipient: str) -> list[str]:
        return [each.occasion for each in self.deliveries(recipient)]

    def take(self, recipient: str) -> list[hl7.Message]:
        """Everything that waits for a recipient, as it reads when it is sent now."""
        taken = []
        while True:
            self.now += timedelta(seconds=1)
            with self.database.transaction() as tx:
                claimed = distribution.claim(tx, recipient, lease_s=30, now=self.now)
                if claimed is None:
                    return taken
                telling = distribution.telling_of(claimed)
                peer = peers.hl7_peer(tx, recipient)
                envelope = outbound.envelope_of(
                    peer, ("ISOCENTER", "RAD"), f"C{claimed.delivery_key}", self.now
                )
                message = outbound.message_of(tx, telling, envelope)
                claimed = distribution.set_message(
                    tx, claimed, control_id=envelope.control_id, message=message
                )
                distribution.acknowledge(tx, claimed, acknowledgement=b"MSA|AA", now=self.now)
            taken.append(hl7.parse(message.decode()))


@pytest.fixture
def hospital(make_database):
    return Hospital(make_database)


def reference(number: str = "A1") -> OrderReference:
    return OrderReference(accession_number=number, asserted_at=None)


def controls(messages) -> list[tuple[str, str]]:
    return [(str(each.segment("ORC")[1]), str(each.segment("ORC")[5])) for each in messages]


def test_a_placer_learns_how_far_its_order_is_and_nothing_that_it_said(hospital):
    hospital.peer("EHR", "orm", receive=frozenset({"adt", "orm"}))
    hospital.peer("EHR2", "orm", application="EHR")  # another door of the same system
    hospital.peer("WARD", "orm")
    hospital.order(procedures=(a_procedure(steps=(a_step(start_at=None),)),))
    hospital.do(scheduling.start, SYSTEM, "A1")
    hospital.do(scheduling.start, SYSTEM, "A1")  # more images say nothing new
    hospital.do(scheduling.complete, SYSTEM, "A1")
    hospital.order("A2")  # it said when: that is no news
    hospital.do(scheduling.cancel_order, EHR, reference("A2"), reason="allergy")
    hospital.order("A3")
    hospital.do(scheduling.cancel_order, PERSON, reference("A3"), reason="no device")
    own = [("SC", "SC"), ("SC", "IP"), ("SC", "CM"), ("OC", "CA")]
    messages = hospital.take("EHR")
    assert controls(messages) == own
    assert controls(hospital.take("EHR2")) == own
    assert controls(hospital.take("WARD")) == [
        *own[:3],
        ("SC", "SC"),
        ("OC", "CA"),
        ("SC", "SC"),
        ("OC", "CA"),
    ]
    first, *_, last = messages
    assert str(first.segment("MSH")[9]) == "ORM^O01^ORM_O01"
    assert (str(first.segment("ORC")[2]), str(first.segment("OBR")[18])) == ("PL-A1^EHR", "A1")
    assert [str(each.segment("OBR")[25]) for each in messages] == ["S", "I", "", "X"]
    assert str(last.segment("ORC")[16]) == "^no device"
    assert str(first.segment("PID")[3]) == "P1^^^HOSP^MR"


def test_who_works_with_an_order_gets_procedures_steps_and_study(hospital):
    hospital.peer("PACS", "omi")
    hospital.peer("OLD", "omi", version="2.3.1")
    hospital.order()
    hospital.do(scheduling.move, PERSON, 1, a_step(start_at=NOON + timedelta(days=2)))
    hospital.do(scheduling.move, PERSON, 1, a_step(start_at=NOON + timedelta(days=3)))
    hospital.do(scheduling.discontinue_order, EHR, reference(), reason="stopped")
    new, changed, ended = hospital.take("PACS")
    # The second change is said by the message that still waited.
    assert controls([new, changed, ended]) == [("NW", "SC"), ("XO", "SC"), ("DC", "CA")]
    assert str(new.segment("MSH")[9]) == "OMI^O23^OMI_O23"
    ipc = new.segment("IPC")
    with hospital.database.read() as tx:
        uid = tx.value("select study_instance_uid from orders.requested_procedure")
    assert (str(ipc[1]), str(ipc[3]), str(ipc[5])) == ("A1", uid, "CT")
    assert str(ipc[6]) == "P-CH^Chest protocol^99TEST"
    assert str(changed.segment("TQ1")[7]) == "20260305120000+0000"
    assert str(new.segment("OBR")[4]).startswith("CTCH^CT chest^99TEST")
    old = hospital.take("OLD")[0]
    assert (str(old.segment("MSH")[9]), str(old.segment("MSH")[12])) == ("ORM^O01", "2.3.1")
    assert str(old.segment("ZDS")[1]) == f"{uid}^^Application^DICOM"
    assert str(old.segment("OBR")[44]) == "CTCH^CT chest^99TEST"


def test_a_merge_goes_downstream_in_order_is_undone_there_and_not_told_to_its_author(hospital):
    hospital.peer("EHR", "adt", receive=frozenset({"adt"}))
    hospital.peer("PACS", "adt")
    for value, name in (("P1", "Phantom^Ada"), ("P2", "Phantom^Adah")):
        patient = a_patient(value, person_name=name, sex="F", aliases=("Ghost^Ada",))
        hospital.do(identity.register, EHR, patient)
    hospital.do(identity.merge, EHR, a_patient("P1", at=0), [an_identifier("P2")])
    with hospital.database.read() as tx:
        (merged,) = identity.merges(tx, PERSON, 1)
    hospital.do(identity.unmerge, PERSON, merged.merge_key)
    assert hospital.occasions("PACS") == ["A28", "A28", "A40", "A37", "A31"]
    messages = hospital.take("PACS")
    kinds = [str(each.segment("MSH")[9]) for each in messages]
    # What was about the one that was merged goes before the merge, and all goes in one lane.
    assert kinds == [
        "ADT^A28^ADT_A05",
        "ADT^A28^ADT_A05",
        "ADT^A40^ADT_A39",
        "ADT^A37^ADT_A37",
        "ADT^A31^ADT_A05",
    ]
    merge, parted, again = messages[2:]
    assert str(merge.segment("PID")[3]) == "P1^^^HOSP^MR"
    assert str(merge.segment("MRG")[1]) == "P2^^^HOSP^MR"
    assert str(merge.segment("MRG")[7]) == "Phantom^Adah^^^^^L"
    assert [str(each[3]) for each in parted.segments("PID")] == ["P1^^^HOSP^MR", "P2^^^HOSP^MR"]
    assert str(again.segment("PID")[5]) == "Phantom^Adah^^^^^L~Ghost^Ada^^^^^A"
    # Its author hears only what it did not say: that it is undone.
    assert [str(each.segment("EVN")[1]) for each in hospital.take("EHR")] == ["A37", "A31"]


def test_numbers_that_change_hands_and_links_are_told(hospital):
    hospital.peer("PACS", "adt", patient_update="A08")
    hospital.do(identity.register, EHR, a_patient("P1", "N1", person_name="Phantom^Ada"))
    hospital.do(identity.register, EHR, a_patient("P2", person_name="Phantom^Bob"))
    hospital.do(identity.move_identifier, EHR, a_patient("P2", at=0), an_identifier("N1"))
    hospital.do(identity.replace_identifier, EHR, a_patient("P9", at=1), an_identifier("P2"))
    link = hospital.do(identity.link_named, EHR, [a_patient("P1", at=2), a_patient("P9", at=2)])
    hospital.do(identity.unlink, PERSON, link.link_key)
    read = {str(each.segment("EVN")[1]): each for each in hospital.take("PACS")}
    assert {"A08", "A43", "A47", "A24", "A37"} == set(read)
    assert str(read["A43"].segment("MRG")[1]) == "N1^^^HOSP^MR"
    assert str(read["A47"].segment("MRG")[1]) == "P2^^^HOSP^MR"
    # P2 is retired by then, and N1 is its since it was moved.
    assert str(read["A47"].segment("PID")[3]) == "N1^^^HOSP^MR~P9^^^HOSP^MR"
    assert len(list(read["A24"].segments("PID"))) == 2


def test_bookings_moves_and_ends_of_appointments_are_told(hospital):
    hospital.peer("EHR", "siu", receive=frozenset({"orm"}))
    hospital.peer("PORTAL", "siu")
    hospital.peer("SCHED", "siu", receive=frozenset({"siu"}))
    hospital.order()
    assert hospital.occasions("EHR") == []  # it said when
    taken = hospital.take("PORTAL")
    hospital.do(scheduling.move, PERSON, 1, a_step(start_at=NOON + timedelta(days=2)))
    hospital.do(scheduling.cancel_order, PERSON, reference())
    taken += hospital.take("PORTAL")
    assert [str(each.segment("MSH")[9]) for each in taken] == [
        "SIU^S12^SIU_S12",
        "SIU^S13^SIU_S12",
        "SIU^S15^SIU_S12",
    ]
    booked, moved, ended = taken
    assert (str(booked.segment("SCH")[2]), str(booked.segment("SCH")[25])) == ("A1", "Booked")
    assert str(booked.segment("SCH")[26]) == "PL-A1^EHR"
    assert str(moved.segment("AIS")[4]) == "20260304120000+0000"
    assert (str(ended.segment("SCH")[25]), str(ended.segment("RGS")[2])) == ("Cancelled", "D")
    assert str(booked.segment("AIG")[3]) == "CT1"
    # What it was not told begins for it with the first thing that it did not say.
    assert hospital.occasions("EHR") == ["S12", "S15"]


def test_another_schedulers_appointment_is_told_to_all_but_that_one(hospital):
    scheduler = type(EHR).hl7_peer("SCHED", "192.0.2.11", ["siu", "adt"])
    hospital.peer("SCHED", "siu", receive=frozenset({"siu"}))
    hospital.peer("PORTAL", "siu")
    patient = hospital.do(identity.register, EHR, a_patient("P1", person_name="Phantom^Ada"))
    facts = {"filler_appointment_id": "F7", "placer_appointment_id": "P7"}
    for minute, said in enumerate((
        {"start_at": NOON, "description": "CT", "duration_min": 20},
        {"start_at": NOON + timedelta(hours=1)},
        {"reason": "still to come"},
        {"status": "noshow"},
        {"status": "noshow"},
    )):
        told = AppointmentFacts(NOON + timedelta(seconds=minute - 60), **facts, **said)
        hospital.do(
            scheduling.keep_appointment, scheduler, told, patient.patient_key, may_be_new=True
        )
        if minute < 2:
            hospital.taken = getattr(hospital, "taken", []) + hospital.take("PORTAL")
    taken = hospital.taken + hospital.take("PORTAL")
    assert [str(each.segment("MSH")[9][0][1]) for each in taken] == ["S12", "S13", "S14", "S26"]
    assert str(taken[0].segment("SCH")[1]) == "P7"
    assert (str(taken[0].segment("SCH")[9]), str(taken[0].segment("AIS")[7])) == ("20", "20")
    assert str(taken[3].segment("SCH")[25]) == "Noshow"
    assert str(taken[0].segment("PID")[3]) == "P1^^^HOSP^MR"
    assert hospital.occasions("SCHED") == []


def test_an_exam_is_charged_once_when_done_and_signed_and_credited_when_it_changes(hospital):
    hospital.peer("BILL", "dft")
    hospital.order(admission_id="V1", patient_class="I")
    hospital.do(scheduling.complete, SYSTEM, "A1")
    assert hospital.deliveries("BILL") == []  # nobody has read it
    report = hospital.do(reporting.draft, SYSTEM, "A1", "Normal.")
    hospital.do(reporting.sign, SYSTEM, report.report_id)
    hospital.do(reporting.addend, SYSTEM, report.report_id, "Added.")
    (charged,) = hospital.take("BILL")
    ft1 = charged.segment("FT1")
    assert str(charged.segment("MSH")[9]) == "DFT^P03^DFT_P03"
    assert (str(ft1[6]), str(ft1[7]), str(ft1[10])) == ("CG", "CTCH^CT chest^99TEST", "1")
    assert (str(ft1[23]), str(charged.segment("PV1")[19])) == ("A1", "V1")
    assert str(charged.segment("PID")[18]) == "V1"
    hospital.do(scheduling.forget_images, SYSTEM, "A1")  # they were another exam's
    (credit,) = hospital.take("BILL")
    assert str(credit.segment("FT1")[6]) == "CR"
    assert str(credit.segment("FT1")[2]) == str(ft1[2])


def test_an_exam_without_code_is_not_charged(hospital):
    hospital.peer("BILL", "dft")
    hospital.order(procedures=(a_procedure(code=None),))
    hospital.do(scheduling.complete, SYSTEM, "A1")
    report = hospital.do(reporting.draft, SYSTEM, "A1", "Normal.")
    hospital.do(reporting.sign, SYSTEM, report.report_id)
    assert hospital.deliveries("BILL") == []


def test_an_older_status_is_not_sent_again_after_a_newer_one(hospital):
    hospital.peer("WARD", "orm")
    hospital.order()
    hospital.do(scheduling.start, SYSTEM, "A1")
    hospital.take("WARD")
    older, newer = hospital.deliveries("WARD")
    with pytest.raises(Superseded):
        hospital.do(distribution.replay, SYSTEM, older.delivery_key)
    hospital.do(distribution.replay, SYSTEM, newer.delivery_key)
    assert controls(hospital.take("WARD")) == [("SC", "IP")]


def test_a_field_map_and_an_order_message_shape_what_one_peer_gets(hospital):
    said = '"PID-18" = { copy = "PV1-19" }\n"ORM:OBR-4" = { codes = { CTCH = "71250" } }\n'
    hospital.peer("WARD", "orm", field_map=said)
    hospital.peer("OTHER", "orm", order_message="OMG")
    hospital.order(admission_id="V1")
    (mapped,), (other,) = hospital.take("WARD"), hospital.take("OTHER")
    assert (str(mapped.segment("PID")[18]), str(mapped.segment("OBR")[4][0][0])) == ("V1", "71250")
    assert str(other.segment("MSH")[9]) == "OMG^O19^OMG_O19"
    assert str(other.segment("OBR")[4][0][0]) == "CTCH"


def test_a_changed_map_is_seen_before_it_counts_and_against_golden_messages(hospital):
    hospital.peer("WARD", "orm")
    hospital.order(admission_id="V1")
    (sent,) = hospital.take("WARD")
    golden = ("an order", str(sent).encode(), Meaning("AA", "", {}))
    with hospital.database.transaction() as tx:
        now = peers.hl7_peer(tx, "WARD")
        mapped = replace(now, field_map='"ORM:PID-18" = { copy = "PV1-19" }')
        peers.keep_golden(tx, SYSTEM, now, golden, now=NOON)
        tried = trial.tried_on_sent(tx, SYSTEM, (now, mapped), now=NOON, limit=10)
        assert trial.verified(tx, SYSTEM, now, ReceiveOptions()).different == ()
        verified = trial.verified(tx, SYSTEM, mapped, ReceiveOptions())
    for found in (tried, verified):
        (one,) = found.different
        assert [(each.path, each.before, each.after) for each in one.changes] == [
            ("PID-18", "", "V1")
        ]


def test_what_waits_about_a_merged_patient_goes_before_the_merge(hospital):
    hospital.peer("PACS", "adt", "omi")
    hospital.do(identity.register, EHR, a_patient("P2", person_name="Phantom^Bob"))
    hospital.do(identity.register, EHR, a_patient("P1", person_name="Phantom^Bob"))
    hospital.do(scheduling.place_order, EHR, a_patient("P2", at=0), an_order("PL1"))
    hospital.do(identity.merge, EHR, a_patient("P1", at=1), [an_identifier("P2")])
    with hospital.database.read() as tx:
        lanes = tx.values("select lane from distribution.delivery order by delivery_key")
    assert lanes == ["patient/2", "patient/2", "procedure/patient/2", "patient/2"]
    # The merge and what it is about are read as of now: the order is the survivor's.
    kinds = [str(each.segment("MSH")[9][0][1]) for each in hospital.take("PACS")]
    assert kinds == ["A28", "A28", "O23", "A40"]


@pytest.mark.parametrize("ordering", ["patient", "all"])
def test_a_refused_demographic_update_silences_no_result(hospital, ordering):
    hospital.peer("EHR2", "adt", "oru", ordering=ordering)
    hospital.order()  # its patient is new: A28
    (new,) = hospital.deliveries("EHR2")
    with hospital.database.transaction() as tx:
        claimed = distribution.claim(tx, "EHR2", lease_s=30, now=hospital.now)
        assert claimed.delivery_key == new.delivery_key
        distribution.refuse(tx, claimed, reason="AE", acknowledgement=b"", now=hospital.now)
    hospital.do(identity.register, EHR, a_patient("P1", person_name="Phantom^Ada Maria", at=1))
    assert hospital.occasions("EHR2") == ["A28", "A31"]
    for text in ("Normal.", "Later."):
        sign(hospital, text)
    assert [str(each.segment("MSH")[9][0][0]) for each in hospital.take("EHR2")] == ["ORU", "ORU"]
    with hospital.database.read() as tx:
        assert distribution.recipients_due(tx, now=hospital.now) == []
        (held,) = distribution.quarantines(tx, Viewer.of(SYSTEM, Action.DELIVERY_READ))
    # It waits for a person, and so does what else says who the patient is.
    assert (held.delivery_key, held.waiting) == (new.delivery_key, 1)
    # What nothing refuses is before results as ever.
    hospital.do(distribution.skip, SYSTEM, new.delivery_key, reason="they know")
    sign(hospital, "Even later.")
    kinds = [str(each.segment("MSH")[9][0][0]) for each in hospital.take("EHR2")]
    assert kinds == ["ADT", "ORU"]


def sign(hospital: Hospital, text: str) -> None:
    """Report A1, or add to its report."""
    with hospital.database.read() as tx:
        known = tx.values("select report_id from reporting.report")
    if known:
        hospital.do(reporting.addend, SYSTEM, known[0], text)
    else:
        report = hospital.do(reporting.draft, SYSTEM, "A1", text)
        hospital.do(reporting.sign, SYSTEM, report.report_id)


def test_a_batch_is_read_in_as_many_statements_as_one_message(hospital, monkeypatch):
    hospital.peer("ENGINE", *HL7_SENT)
    asked: list[str] = []
    for name in ("all", "maybe", "value", "values"):
        true = getattr(Tx, name)
        monkeypatch.setattr(
            Tx, name, lambda self, *args, true=true: asked.append("") or true(self, *args)
        )

    def statements() -> tuple[int, int, int]:
        with hospital.database.transaction() as tx:
            claims = distribution.claim_batch(
                tx, "ENGINE", most=100, lease_s=30, now=hospital.now + timedelta(days=1)
            )
            tellings = [distribution.telling_of(each) for each in claims]
            distribution.give_back(tx, claims)
            asked.clear()
            known = known_of(tx, tellings)
            read = len(asked)
            peer = peers.hl7_peer(tx, "ENGINE")
            for each in tellings:  # nothing more is read
                envelope = outbound.envelope_of(peer, ("ISOCENTER", "RAD"), "C", hospital.now)
                outbound.made_of(known, each, envelope)
            assert len(asked) == read + 1
        return read, len(tellings), len({each.kind for each in tellings})

    def exam(number: str, patient: str) -> None:
        order = an_order(f"PL-{number}", accession_number=number)
        hospital.do(scheduling.place_order, EHR, a_patient(patient, person_name="A^B"), order)
        hospital.do(scheduling.complete, SYSTEM, number)
        report = hospital.do(reporting.draft, SYSTEM, number, "Normal.")
        hospital.do(reporting.sign, SYSTEM, report.report_id)

    exam("A1", "P1")
    hospital.take("ENGINE")
    # Heads of lanes: of each patient the news, and of each exam what is told of it.
    for number in ("B1", "B2"):
        exam(number, f"P{number}")
    few = statements()
    for number in ("B3", "B4", "B5", "B6"):
        exam(number, f"P{number}")
    many = statements()
    assert many[0] == few[0] <= 8
    assert many[1] > 2 * few[1]
    assert few[2] == many[2] >= 4


def test_deliveries_are_shown_page_by_page(hospital):
    hospital.peer("PACS", "adt")
    for number in range(5):
        hospital.do(identity.register, EHR, a_patient(f"P{number}", person_name="Phantom^Ada"))
    viewer = Viewer.of(SYSTEM, Action.DELIVERY_READ)
    with hospital.database.read() as tx:
        everything = [each.delivery_key for each in distribution.deliveries(tx, viewer)]
        seen: list[int] = []
        before = None
        for _ in range(4):
            page = Page(limit=2, before=before)
            found = distribution.deliveries(tx, viewer, state="queued", page=page)
            seen += [each.delivery_key for each in found]
            before = seen[-1]
        assert seen == everything
        assert len(seen) == 5
        assert distribution.deliveries(tx, viewer, state="refused", page=Page(before=before)) == []


def test_no_kind_of_message_is_without_permission_and_encoder():
    assert {each.permission for each in MessageKind} == HL7_SENT
    assert set(outbound.MAKERS) == set(MessageKind)
