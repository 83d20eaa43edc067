"""Every kind of message that we send, judged by hl7apy: segments, cardinalities, fields.

hl7apy knows the structures of each version of the standard as tables. What it says against a
message is a failure here, unless ``MISTAKES`` says why the mistake is its own.
"""

from dataclasses import replace
from datetime import timedelta

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.identity import service as identity
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import HL7_SENT
from isocenter.domain.reporting import service as reporting
from isocenter.domain.scheduling import service as scheduling
from isocenter.gateways.hl7 import outbound
from isocenter.gateways.hl7.known import known_of
from tests.builders import NOON, a_patient, a_step, an_identifier, an_order
from tests.component.gateways.hl7.test_outbound import EHR, PERSON, SYSTEM, Hospital, reference

VERSIONS = ("2.3.1", "2.4", "2.5", "2.5.1", "2.6")
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
)


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
            found = complaints(message)
            wrong += [
                (version, kind, each) for each in found if not is_mistaken(version, kind, each)
            ]
            if not found:
                valid.add((version, kind[:3]))
    assert wrong == []
    assert {kind for version, kind in valid if version == "2.5.1"} >= {
        "ADT",
        "DFT",
        "OMI",
        "ORU",
        "SIU",
    }


def test_the_judge_finds_what_is_wrong():
    header = b"MSH|^~\\&|A|B|C|D|20260302||ADT^A28^ADT_A05|1|P|2.5.1\rEVN||20260302\r"
    assert complaints(header + b"PID|1||P1^^^HOSP^MR||Phantom^Ada\rPV1|1|O\r") == []
    assert "PID_3" in complaints(header + b"PID|1||||Phantom^Ada\rPV1|1|O\r")[0]
    assert "PV1" in complaints(header + b"PID|1||P1^^^HOSP^MR||Phantom^Ada\r")[0]
