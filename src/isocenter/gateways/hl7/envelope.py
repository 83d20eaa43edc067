"""What every message that we send has: MSH, its character set, and what its receiver has otherwise.

Standard: HL7 v2.5.1 2.15.9 (MSH)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.datatypes import format_dtm
from isocenter.standards.hl7v2.field_map import Rule, apply_map, parse_map


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """To whom the message goes, and how.

    Attributes:
        sending: MSH-3 and MSH-4.
        receiving: MSH-5 and MSH-6.
        statuses: OBR-25 values that the receiver takes.
        report_forms: what of a report it gets: ``text``, ``pdf``, ``coded``, ``study_uid``.
        order_message: ORM, OMG or OMI; '' as is usual for the version.
        patient_update: A31 or A08.
        field_map: what its messages say otherwise.
    """

    sending: tuple[str, str]
    receiving: tuple[str, str]
    control_id: str
    made_at: datetime
    version: str = "2.5.1"
    character_set: str = "UNICODE UTF-8"
    statuses: frozenset[str] = frozenset({"P", "F", "C"})
    report_forms: frozenset[str] = frozenset({"text", "study_uid"})
    order_message: str = ""
    patient_update: str = "A31"
    field_map: str = ""

    @cached_property
    def number(self) -> tuple[int, ...]:
        """The version as numbers: (2, 5, 1)."""
        return tuple(int(part) for part in self.version.split(".") if part.isdigit())

    @property
    def is_before_2_5(self) -> bool:
        """Whether the receiver knows neither TQ1 nor IPC, and no message structure in MSH-9."""
        return self.number < (2, 5)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The field map, read."""
        return parse_map(self.field_map)


def sealed(envelope: Envelope, kind: tuple[str, str, str], segments: Sequence[str]) -> bytes:
    """Return the message.

    Args:
        envelope: to whom it goes.
        kind: message code, trigger event and structure (MSH-9).
        segments: all but MSH.

    Standard: HL7 v2.5.1 2.15.9.
    """
    header: dict[int, writer.Field] = {
        3: envelope.sending[0],
        4: envelope.sending[1],
        5: envelope.receiving[0],
        6: envelope.receiving[1],
        7: format_dtm(envelope.made_at),
        # The structure in MSH-9.3 is required since 2.5; IHE's 2.3.1 messages go without it.
        9: kind[:2] if envelope.number < (2, 4) else kind,
        10: envelope.control_id,
        11: "P",
        12: envelope.version,
    }
    lines = [writer.segment("MSH", header), *segments]
    return writer.assembled(apply_map(envelope.rules, lines), charset=envelope.character_set)
