"""Every kind of message that we send: of what it is made, and by which encoder.

A kind is one function: of what is known now it picks what the delivery is about, and hands it to an
encoder. None of them reads: a batch's content is read at once (``known``). Lanes, leases, retries
and replay know nothing of kinds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.domain.distribution.model_messages import MessageKind, Telling
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import OrderReference
from isocenter.domain.peers.model import Hl7Peer
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.encode_adt import PatientMessage, encode_adt
from isocenter.gateways.hl7.encode_dft import encode_dft
from isocenter.gateways.hl7.encode_order import encode_order, encode_procedure
from isocenter.gateways.hl7.encode_oru import encode_oru
from isocenter.gateways.hl7.encode_siu import AppointmentMessage, encode_siu
from isocenter.gateways.hl7.envelope import Envelope
from isocenter.gateways.hl7.known import Known, is_of_exam, known_of, visit_of
from isocenter.gateways.hl7.translate_patient import authority_name
from isocenter.infra.db import Tx
from isocenter.readmodels.exam_content import ExamContent
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2 import datatypes
from isocenter.standards.hl7v2.er7 import Message, parse

# Where a message names an order: its placer's number, and its filler's, which is the accession
# number where it has no other; and where accession numbers themselves stand.
_ORDER_FIELDS: Final = {"ORC": (2, 3), "OBR": (2, 3), "SCH": (26, 27), "FT1": (None, 23)}
_ACCESSION_FIELDS: Final = {"IPC": 1, "OBR": 18, "TXA": 15}


class NothingToTell(IsocenterError):
    """What a delivery is about is not there."""

    kind = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Facts:
    """What the log of messages says of one, beside its bytes.

    Attributes:
        message_type: MSH-9, as ``ORU^R01``.
        patient_id: the first identifier in PID-3.
    """

    message_type: str
    patient_id: str | None


def envelope_of(
    peer: Hl7Peer, sending: tuple[str, str], control_id: str, made_at: datetime
) -> Envelope:
    """To whom a message goes, and how: as the peer is configured.

    A peer of which only the name is known is called that, at our facility: IHE requires both.

    Standard: IHE ITI TF-2 Appendix C.2.2 (MSH-5, MSH-6)
    """
    return Envelope(
        sending=sending,
        receiving=(peer.application or peer.name, peer.facility or sending[1]),
        control_id=control_id,
        made_at=made_at,
        version=peer.version,
        character_set=peer.character_set,
        statuses=peer.result_statuses,
        report_forms=peer.report_forms,
        order_message=peer.order_message,
        patient_update=peer.patient_update,
        field_map=peer.field_map,
    )


def message_of(tx: Tx, telling: Telling, envelope: Envelope) -> bytes:
    """The message that tells it, of what is known now.

    Raises:
        IsocenterError: what it is about is not there, or the receiver takes no such message.
    """
    return made_of(known_of(tx, [telling]), telling, envelope)


def made_of(known: Known, telling: Telling, envelope: Envelope) -> bytes:
    """As ``message_of``, of what was read for it and others."""
    return MAKERS[telling.kind](known, telling, envelope)


def facts_of(message: bytes) -> Facts:
    """What the log says of a message that we made."""
    try:
        parsed = parse(message)
    except RemoteProtocolError:
        return Facts("", None)
    kind = filter(None, (parsed.header.text(9, 1), parsed.header.text(9, 2)))
    pid = parsed.first("PID")
    return Facts("^".join(kind), pid.text(3) or None if pid else None)


def exam_named(tx: Tx, message: Message) -> str | None:
    """The accession number of the first of our exams that a message names, else what it states."""
    stated = next(_accession_numbers(message), None)
    for reference in _references(message):
        exam = None if reference.is_empty() else orders.order_for(tx, reference)
        if exam is not None:
            return exam.order.accession_number
    return stated


def _accession_numbers(message: Message) -> Iterator[str]:
    for segment in message.segments:
        number = _ACCESSION_FIELDS.get(segment.name)
        if number and segment.text(number):
            yield segment.text(number)


def _references(message: Message) -> Iterator[OrderReference]:
    for number in _accession_numbers(message):
        yield OrderReference(accession_number=number)
    for segment in message.segments:
        placer, filler = _ORDER_FIELDS.get(segment.name, (None, None))
        for said in map(datatypes.ei, segment.fields(placer) if placer else ()):
            name = authority_name(said.authority)
            yield OrderReference(placer_order_number=said.value or None, placer_namespace=name)
        for said in map(datatypes.ei, segment.fields(filler) if filler else ()):
            name = authority_name(said.authority)
            yield OrderReference(filler_order_number=said.value or None, filler_namespace=name)
            yield OrderReference(accession_number=said.value or None)


def effect_of(telling: Telling) -> str:
    """What the log says that a message told, without patient data."""
    if telling.kind is MessageKind.REPORT:
        return f"report version {telling.version}"
    return f"{telling.kind.value} {telling.occasion}"


def _report(known: Known, telling: Telling, envelope: Envelope) -> bytes:
    content = known.reports.get((telling.report_id or "", telling.version or 0))
    if content is None:
        raise NothingToTell("there is no such signed report")
    return encode_oru(content, envelope)


def _order(known: Known, telling: Telling, envelope: Envelope) -> bytes:
    return encode_order(_exam(known, telling.accession_number), telling.told, envelope)


def _procedure(known: Known, telling: Telling, envelope: Envelope) -> bytes:
    return encode_procedure(_exam(known, telling.accession_number), telling.told, envelope)


def _charge(known: Known, telling: Telling, envelope: Envelope) -> bytes:
    return encode_dft(_exam(known, telling.accession_number), telling.told, envelope)


def _exam(known: Known, accession_number: str) -> ExamContent:
    content = known.exams.get(accession_number)
    if content is None:
        raise NothingToTell("there is no such exam")
    return content


def _patient(known: Known, telling: Telling, envelope: Envelope) -> bytes:
    key, other_key = telling.subject_key, telling.told.get("other_key")
    # Of a merge the record that remains is the one that the message is about.
    first, second = (other_key, key) if telling.occasion in {"A40", "A37"} else (key, other_key)
    if first is None or first not in known.patients:
        raise NothingToTell("there is no such patient")
    number = visit_of(telling)
    visit = known.numbered_visits.get(number) if number else known.open_visits.get(key)
    other = known.patients.get(second) if second is not None else None
    content = PatientMessage(telling.occasion, known.patients[first], telling.told, other, visit)
    return encode_adt(content, envelope)


def _appointment(known: Known, telling: Telling, envelope: Envelope) -> bytes:
    if is_of_exam(telling):
        exam = _exam(known, telling.accession_number)
        content = AppointmentMessage(telling.occasion, telling.told, (exam,), None, exam.patient)
        return encode_siu(content, envelope)
    appointment = known.appointments.get(telling.subject_key)
    if appointment is None:
        raise NothingToTell("there is no such appointment")
    exams = tuple(_exam(known, number) for number in appointment.accession_numbers)
    patient = next((each.patient for each in exams), None)
    if patient is None and appointment.patient_key is not None:
        patient = known.patients.get(appointment.patient_key)
    message = AppointmentMessage(telling.occasion, telling.told, exams, appointment, patient)
    return encode_siu(message, envelope)


MAKERS: Final[Mapping[MessageKind, Callable[[Known, Telling, Envelope], bytes]]] = {
    MessageKind.REPORT: _report,
    MessageKind.ORDER: _order,
    MessageKind.PROCEDURE: _procedure,
    MessageKind.PATIENT: _patient,
    MessageKind.APPOINTMENT: _appointment,
    MessageKind.CHARGE: _charge,
}
