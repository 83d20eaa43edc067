"""The requested procedure and scheduled steps that one order group describes.

Before 2.5 IHE put them into OBR fields and the local segment ZDS; OMI^O23 has IPC and TQ1 for them.

Standard: IHE RAD TF-2 4.4.4.1.2 (ORM^O01 with ZDS), 4.4 option HL7 v2.5.1 (OMI^O23).
"""

from dataclasses import dataclass, field
from datetime import datetime

from isocenter.domain.orders.model import Code, ProcedureFacts, StepFacts
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_patient import Reading, moment
from isocenter.standards.hl7v2 import datatypes
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.datatypes import Precision
from isocenter.standards.hl7v2.er7 import Message, Segment

LOCAL_SCHEME = "L"


@dataclass(slots=True)
class OrderGroup:
    """An ORC segment and what follows it up to the next one; ``index`` counts groups from 1."""

    message: Message
    segments: list[Segment]
    index: int
    orc: Segment = field(init=False)
    obr: Segment | None = field(init=False)

    def __post_init__(self) -> None:
        self.orc = self.segments[0]
        self.obr = next(iter(self.every("OBR")), None)

    def every(self, name: str) -> list[Segment]:
        """Return the group's segments of that name."""
        return [segment for segment in self.segments if segment.name == name]

    @property
    def any_obr(self) -> Segment:
        """The OBR segment; an empty one when it is missing."""
        return self.obr or Segment("OBR", self.orc.syntax)

    @property
    def ipcs(self) -> list[Segment]:
        """The IPC segments: one per scheduled procedure step."""
        return self.every("IPC")

    @property
    def tq1s(self) -> list[Segment]:
        """The timing segments."""
        return self.every("TQ1")


def procedure_of(group: OrderGroup, reading: Reading) -> ProcedureFacts:
    """Return the requested procedure of a group, with its steps.

    Raises:
        MessageRefused: the start cannot be read: better no worklist entry than one at a wrong time.
    """
    obr = group.any_obr
    ordered = datatypes.ce(obr.field(4))
    coded = datatypes.ce(obr.field(44)) or ordered
    start_at = _start_at(group, reading)
    steps = (
        tuple(_step_of_ipc(group, ipc, start_at) for ipc in group.ipcs)
        if group.ipcs
        else (_step_of_obr(obr, start_at),)
    )
    return ProcedureFacts(
        requested_procedure_id=_first_text(group.ipcs, 2) or obr.text(19) or None,
        study_instance_uid=_study_instance_uid(group),
        code=_code(coded) if coded else None,
        description=coded.meaning or ordered.meaning or coded.value or None,
        laterality=obr.text(15, 5) or None,
        steps=steps,
    )


def _study_instance_uid(group: OrderGroup) -> str | None:
    # ZDS-1 is an RP whose first component is the UID; IPC-3 is an EI.
    zds = group.every("ZDS")
    return _first_text(group.ipcs, 3) or _first_text(zds, 1) or None


def _first_text(segments: list[Segment], position: int) -> str:
    return next((each.text(position) for each in segments if each.text(position)), "")


def _code(code: datatypes.Code) -> Code:
    # HL7 calls local codes L or 99...; DICOM wants a scheme for every code (PS3.3 8.2).
    return Code(code.value or code.meaning, code.scheme or LOCAL_SCHEME, code.meaning)


def _step_of_obr(obr: Segment, start_at: datetime | None) -> StepFacts:
    protocol = datatypes.ce_alternate(obr.field(4))
    # The same codes twice mean that the sender knows no protocol beyond the procedure.
    ordered = datatypes.ce(obr.field(4))
    known = bool(protocol) and protocol.value != ordered.value
    titles = tuple(each.text() for each in obr.fields(21) if _is_ae_title(each.text()))
    return StepFacts(
        scheduled_procedure_step_id=obr.text(20) or None,
        modality=obr.text(24) or None,
        station_ae_titles=titles or None,
        start_at=start_at,
        performing_physician_name=_performer(obr),
        description=protocol.meaning or ordered.meaning or ordered.value or None,
        protocol_codes=(_code(protocol),) if known else None,
    )


def _step_of_ipc(group: OrderGroup, ipc: Segment, start_at: datetime | None) -> StepFacts:
    codes = [code for code in map(datatypes.ce, ipc.fields(6)) if code]
    ordered = datatypes.ce(group.any_obr.field(4))
    location = datatypes.ce(ipc.field(8))
    return StepFacts(
        scheduled_procedure_step_id=ipc.text(4) or None,
        modality=ipc.text(5) or group.any_obr.text(24) or None,
        station_ae_titles=tuple(each.text() for each in ipc.fields(9) if each.text()) or None,
        station_name=ipc.text(7) or None,
        location=location.meaning or location.value or None,
        start_at=start_at,
        performing_physician_name=_performer(group.any_obr),
        description=(codes[0].meaning if codes else "") or ordered.meaning or None,
        protocol_codes=tuple(map(_code, codes)) or None,
    )


def _is_ae_title(text: str) -> bool:
    # OBR-21 (Filler Field 2) is free for local use: a station only if it can be an AE title.
    return 0 < len(text) <= 16 and text.isascii() and " " not in text


def _performer(obr: Segment) -> str | None:
    """Return OBR-34 (Technician), whose name is in subcomponents of its first component."""
    who = obr.field(34)
    family, given = who.text(1, 2), who.text(1, 3)
    return "^".join((family, given)).rstrip("^") or None


def _start_at(group: OrderGroup, reading: Reading) -> datetime | None:
    obr = group.any_obr
    places = [(tq1.text(7), f"TQ1^{n}^7") for n, tq1 in enumerate(group.tq1s, 1)]
    places += [
        (group.orc.text(7, 4), f"ORC^{group.index}^7^1^4"),
        (obr.text(27, 4), f"OBR^{group.index}^27^1^4"),
        (obr.text(36), f"OBR^{group.index}^36"),
    ]
    text, location = next(((t, place) for t, place in places if t), ("", ""))
    if not text:
        return None
    stated = moment(text, reading)
    if stated is None or stated.precision in {Precision.YEAR, Precision.MONTH}:
        raise refused(
            AckCode.AE, ErrorCode.DATA_TYPE_ERROR, location, "the scheduled start is no date"
        )
    return stated.value
