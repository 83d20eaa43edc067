"""Every kind of message that we send, judged by hl7apy: segments, cardinalities, fields.

hl7apy knows the structures of each version of the standard as tables. What it says against a
message is a failure here, unless ``MISTAKES`` says why the mistake is its own.
"""

from dataclasses import replace
from datetime import timedelta

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message, parse_segment
from hl7apy.validation import Validator

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model_visits import VisitFacts, VisitNumber
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import HL7_SENT
from isocenter.domain.reporting import service as reporting
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model_appointments import AppointmentFacts
from isocenter.gateways.hl7 import outbound
from isocenter.gateways.hl7.known import known_of
from tests.builders import NOON, a_patient, a_step, an_identifier, an_order
from tests.component.gateways.hl7.test_outbound import EHR, PERSON, SYSTEM, Hospital, reference

VERSIONS = ("2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8")
# Where hl7apy is mistaken: version ('' for each), message and complaint.
MISTAKES = (
    # It takes a structure by the name of its trigger event. 2.3.1 has ADT_A01, ADT_A30 and SIU_S12
    # for these (2.17.3), and IHE's messages of 2.3.1 name no structure in MSH-9.
    ("2.3.1", "ADT", "Cannot instantiate an unknown Element"),
    ("2.3.1", "SIU", "Cannot instantiate an unknown Element"),
    # ORC is followed by one of OBR, RQD, RQ1, RXO, ODS, ODT (4.4.1): it wants all of them.
    ("", "ORM", "Missing required child ORM_O01_CHOICE.RQD"),
    ("", "ORM", "Missing required child ORM_O01_OBRRQDRQ1RXOODSODT_SUPPGRP.RQD"),
    # OBX-4 is conditional (7.3.2.4): needed where one code comes more than once.
    ("2.3.1", "ORU", "Missing required child OBX.OBX_4"),
    ("2.7", "ORU", "Missing required child OBX.OBX_4"),
    ("2.8", "ORU", "Missing required child OBX.OBX_4"),
    # A24 and A37 are about two patients, each with a PID of its own (3.3.24, 3.3.37): of segments
    # outside of groups it takes one of a name.
    ("", "ADT^A24", "Cannot add <Segment PID>"),
    ("", "ADT^A37", "Cannot add <Segment PID>"),
)
# What it is not shown, because it stumbles over it: version, message, segment.
NOT_SHOWN = (
    # Its table of 2.7 has a set id without end in TQ1, and reading it fails.
    ("2.7", "", "TQ1"),
)
# It stops at the first complaint: behind what it is mistaken in it is shown segment by segment.
BY_SEGMENT = (("2.7", "ORU"), ("2.8", "ORU"))
# Since 2.8 OBX and TXA of a document may follow ORC (7.3.1): it takes results for these.
NOT_WHOLE = (("2.8", "ORU"),)


def a_day(hospital: Hospital) -> None:
    """Something of every kind happens, and a peer that gets everything is told."""
    hospital.peer("ENGINE", *HL7_SENT)

    def do(verb, *args, **kwargs):
        done = hospital.do(verb, *args, **kwargs)
        hospital.take("ENGINE")
        return done

    patient = a_patient(
        "P1", person_name="Phantom^Ada", sex="F", aliases=("Ghost^Ada",), phone="555-0100"
    )
    order = an_order("PL1", accession_number="A1", admission_id="V1", reason_for_study="cough")
    do(scheduling.place_order, EHR, patient, order)
    do(scheduling.move, PERSON, 1, a_step(start_at=NOON + timedelta(days=2)))
    do(scheduling.start, SYSTEM, "A1")
    do(scheduling.complete, SYSTEM, "A1")
    report = do(reporting.draft, SYSTEM, "A1", "Normal.\nNo | fracture ^ & \\ here.")
    do(reporting.sign, SYSTEM, report.report_id)
    do(reporting.addend, SYSTEM, report.report_id, "Later.")
    other = an_order("PL2", accession_number="A2")
    do(scheduling.place_order, EHR, a_patient("P2", person_name="Phantom^Bob"), other)
    do(scheduling.cancel_order, PERSON, reference("A2"), reason="none")
    do(identity.merge, EHR, a_patient("P1", at=0), [an_identifier("P3")])
    taken = do(identity.register, EHR, a_patient("P4", "N4"))
    do(identity.move_identifier, EHR, a_patient("P5", at=1), an_identifier("N4"))
    do(identity.replace_identifier, EHR, a_patient("P6", at=2), an_identifier("P5"))
    link = do(identity.link_named, EHR, [a_patient("P1", at=3), a_patient("P6", at=3)])
    do(identity.unlink, PERSON, link.link_key)
    visit = VisitFacts(VisitNumber("V9", "HOSP"), NOON, admitted_at=NOON, patient_class="I")
    right = do(identity.register, EHR, a_patient("P7", at=4))
    do(identity.record_visits, [(EHR, taken.patient_key, visit)])
    keys = (taken.patient_key, right.patient_key)
    do(identity.move_visit, EHR, keys, replace(visit, asserted_at=NOON + timedelta(seconds=9)))
    booked = AppointmentFacts(
        NOON,
        filler_appointment_id="F7",
        start_at=NOON + timedelta(days=3),
        duration_min=20,
        location="CT 1",
    )
    scheduler = type(EHR).hl7_peer("SCHED", "192.0.2.11", ["siu"])
    do(scheduling.keep_appointment, scheduler, booked, right.patient_key, may_be_new=True)


def complaints_by_segment(version: str, message: bytes) -> list[str]:
    """What hl7apy says against the segments of a message, each for itself."""
    found: list[str] = []
    for line in message.decode().splitlines():
        try:
            strict = VALIDATION_LEVEL.STRICT
            Validator.validate(parse_segment(line, version=version, validation_level=strict))
        except HL7apyException as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def complaints(message: bytes) -> list[str]:
    """What hl7apy says against a message."""
    try:
        parsed = parse_message(
            message.decode(), validation_level=VALIDATION_LEVEL.STRICT, find_groups=True
        )
        parsed.validate()
    except HL7apyException as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def shown(version: str, message_type: str, message: bytes) -> bytes:
    """The message without what hl7apy stumbles over."""
    out = {
        segment.encode()
        for each, kind, segment in NOT_SHOWN
        if each == version and message_type.startswith(kind)
    }
    return b"".join(each for each in message.splitlines(keepends=True) if each[:3] not in out)


def is_mistaken(version: str, message_type: str, complaint: str) -> bool:
    """Whether it is known why hl7apy says so."""
    return any(
        each in {"", version} and message_type.startswith(kind) and said in complaint
        for each, kind, said in MISTAKES
    )


def test_every_kind_is_valid_at_the_version_that_it_claims(make_database):
    hospital = Hospital(make_database)
    a_day(hospital)
    with hospital.database.read() as tx:
        viewer = Viewer.of(SYSTEM, Action.DELIVERY_READ)
        tellings = distribution.tellings_sent(tx, viewer, "ENGINE", limit=100)
        tellings = list(
            {(each.kind, each.occasion, each.version): each for each in tellings}.values()
        )
        known = known_of(tx, tellings)
        engine = peers.hl7_peer(tx, "ENGINE")
    valid: set[tuple[str, str]] = set()
    wrong: list[tuple[str, str, str]] = []
    for version in VERSIONS:
        for telling in tellings:
            envelope = outbound.envelope_of(
                replace(engine, version=version), ("ISOCENTER", "RAD"), "C1", NOON
            )
            message = outbound.made_of(known, telling, envelope)
            kind = outbound.facts_of(message).message_type
            of = (version, kind[:3])
            found = [] if of in NOT_WHOLE else complaints(shown(version, kind, message))
            found += complaints_by_segment(version, message) if of in BY_SEGMENT else []
            wrong += [
                (version, kind, each) for each in found if not is_mistaken(version, kind, each)
            ]
            if not [each for each in found if not is_mistaken(version, kind, each)]:
                valid.add((version, kind[:3]))
    assert wrong == []
    told = {telling.occasion for telling in tellings}
    assert told >= {"A28", "A40", "A43", "A47", "A24", "A37", "A45", "S12", "S13", "S15"}
    for judged in ("2.5.1", "2.7", "2.8"):
        kinds = {"ADT", "DFT", "OMI", "ORU", "SIU"} | ({"OMG"} if judged >= "2.7" else set())
        assert {kind for version, kind in valid if version == judged} >= kinds


def test_the_judge_finds_what_is_wrong():
    header = b"MSH|^~\\&|A|B|C|D|20260302||ADT^A28^ADT_A05|1|P|2.5.1\rEVN||20260302\r"
    assert complaints(header + b"PID|1||P1^^^HOSP^MR||Phantom^Ada\rPV1|1|O\r") == []
    assert "PID_3" in complaints(header + b"PID|1||||Phantom^Ada\rPV1|1|O\r")[0]
    assert "OBX_3" in complaints_by_segment("2.8", b"OBX|1|TX|||N||||||F\r")[0]
    assert "PV1" in complaints(header + b"PID|1||P1^^^HOSP^MR||Phantom^Ada\r")[0]
