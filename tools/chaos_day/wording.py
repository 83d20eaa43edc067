"""What the hospital's systems say, and how they number things."""

from datetime import datetime

from tools.chaos_day.plan import name_of


def patient(exam: int) -> str:
    """The number of an exam's patient."""
    return f"E{exam:06d}"


def exam_name(exam: int) -> str:
    """The name of an exam's patient."""
    return name_of(exam)


def accession(exam: int) -> str:
    """An exam's accession number."""
    return f"ACC{exam:06d}"


def study_uid(exam: int) -> str:
    """The Study Instance UID that a scanner makes for an exam: it has no worklist."""
    return f"2.25.77.{exam}"


def registration(number: int, name: str, message: int, now: datetime) -> bytes:
    """ADT^A08 about a patient."""
    return _message(
        f"MSH|^~\\&|EHR|H|ISOCENTER|RAD|{_at(now)}||ADT^A08^ADT_A01|C{message:07d}|P|2.5.1",
        f"EVN|A08|{_at(now)}",
        f"PID|1||R{number:06d}^^^H^MR||{name}||19700101|F",
        "PV1|1|I|WARD^1^1",
    )


def order(exam: int, control: str, message: int, now: datetime) -> bytes:
    """ORM^O01 with an exam's numbers."""
    start = f"^^^{_at(now)}^^R"
    blank = "|" * 14
    return _message(
        f"MSH|^~\\&|EHR|H|ISOCENTER|RAD|{_at(now)}||ORM^O01|C{message:07d}|P|2.3.1",
        f"PID|1||{patient(exam)}^^^H^MR||{exam_name(exam)}||19700101|F",
        f"ORC|{control}|P{exam:06d}^EHR|||||{start}||{_at(now)}",
        f"OBR|1|P{exam:06d}^EHR||CTHEAD^CT of the head^L{blank}{accession(exam)}||||||CT|||{start}",
    )


def _message(*segments: str) -> bytes:
    return "".join(f"{each}\r" for each in segments).encode()


def _at(now: datetime) -> str:
    return f"{now:%Y%m%d%H%M%S}.{now.microsecond // 1000:03d}+0000"
