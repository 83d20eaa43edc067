"""What the day left, compared with what was said: lost, doubled, credited to the wrong message."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isocenter.infra.db import Tx
from isocenter.standards.hl7v2.ack import parse_ack
from tools.chaos_day import wording
from tools.chaos_day.hospital import Hospital

VISIBLE_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Findings:
    """The judgement. Each entry of the lists names one item."""

    lost: list[str]
    doubled: list[str]
    misdirected: list[str]
    longest_unseen_s: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled or credited wrongly, nor stuck unseen for long."""
        wrong = self.lost or self.doubled or self.misdirected
        return not wrong and self.longest_unseen_s <= VISIBLE_WITHIN_S


def judged(hospital: Hospital) -> Findings:
    """The judgement of a day that has been played."""
    with hospital.plain.read() as tx:
        counted = [*_messages(tx, hospital), *_orders(tx, hospital), *_images(tx, hospital)]
        counted += _results(hospital)
        lost = [what for what, count in counted if count < 1]
        lost += list(_wrong_names(tx, hospital))
        doubled = [what for what, count in counted if count > 1]
        misdirected = list(_misdirected(tx, hospital))
    misdirected += ["an acknowledgement of ours"] * hospital.misdirected
    return Findings(lost, doubled, misdirected, hospital.watch.longest_unseen_s)


def _messages(tx: Tx, hospital: Hospital) -> Iterator[tuple[str, int]]:
    """How often each message that was sent is on record as processed."""
    rows: list[str] = tx.values("select control_id from peers.message where direction = 'in'")
    found = Counter(rows)
    for control_id, code in hospital.said.items():
        yield f"message {control_id} ({code})", found[control_id] if code == "AA" else 0


def _orders(tx: Tx, hospital: Hospital) -> Iterator[tuple[str, int]]:
    rows: list[str] = tx.values(
        "select accession_number || ' ' || case when state = 'cancelled' then state else '' end"
        "  from orders.imaging_order"
    )
    found = Counter(rows)
    for number in hospital.ordered:
        state = "cancelled" if number in hospital.cancelled else ""
        yield f"order {number} {state}", found[f"{wording.accession(number)} {state}"]
    yield "orders that nobody placed", 1 + len(rows) - len(hospital.ordered)


def _images(tx: Tx, hospital: Hospital) -> Iterator[tuple[str, int]]:
    rows: list[str] = tx.values("select sop_instance_uid from archive.instance")
    found = Counter(rows)
    for number, count in hospital.images.items():
        for place in range(1, count + 1):
            uid = f"{wording.study_uid(number)}.1.{place}"
            yield f"image {uid}", found[uid]
    yield "images that nobody sent", 1 + len(rows) - sum(hospital.images.values())


def _wrong_names(tx: Tx, hospital: Hospital) -> Iterator[str]:
    """Patients that do not have the name that was said last."""
    rows: list[str] = tx.values(
        "select value || ' ' || person_name from identity.patient"
        "  join identity.patient_identifier using (patient_key)"
    )
    known = set(rows)
    for number, name in hospital.names.items():
        if f"R{number:06d} {name}" not in known:
            yield f"the last name of patient {number}"


def _results(hospital: Hospital) -> Iterator[tuple[str, int]]:
    """How many results of each report each receiver filed: one, whatever happened."""
    for receiver in hospital.receivers:
        filed = _filed_numbers(receiver.filed)
        counted = Counter(filed)
        for number in hospital.reported:
            yield f"result {number} at {receiver.name}", counted[number]


def _filed_numbers(filed: Mapping[str, bytes]) -> list[int]:
    """The exam that each filed message is about, as OBR-18 says."""
    numbers: list[int] = []
    for message in filed.values():
        obr = next(line for line in message.split(b"\r") if line.startswith(b"OBR|"))
        numbers.append(int(obr.split(b"|")[18].removeprefix(b"ACC")))
    return numbers


def _misdirected(tx: Tx, hospital: Hospital) -> Iterator[str]:
    """Deliveries that count as acknowledged although their receiver did not accept them."""
    accepted = {each.name: each.accepted for each in hospital.receivers}
    rows = tx.values(
        "select recipient || ' ' || control_id from distribution.delivery"
        " where state = 'acknowledged'"
    )
    for row in rows:
        recipient, _, control_id = str(row).partition(" ")
        if control_id not in accepted[recipient]:
            yield f"{control_id} of {recipient}"
    answers: list[bytes] = tx.values(
        "select acknowledgement from distribution.delivery where state = 'acknowledged'"
    )
    ids = {str(row).partition(" ")[2] for row in rows}
    for answer in answers:
        if parse_ack(bytes(answer)).control_id not in ids:
            yield f"the answer {bytes(answer)[:40]!r}"
