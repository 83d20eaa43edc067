"""Attributes that searches, the worklist and performed procedure steps know, asked of the code.

Answers are made of invented rows that have a value everywhere: what is in them is what is returned.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date, time
from functools import cache
from types import NoneType
from typing import Any, Final, get_args, get_origin, get_type_hints

from isocenter.domain.worklist import service as worklist
from isocenter.gateways.dicomweb import search
from isocenter.gateways.dimse.find import answer
from isocenter.gateways.dimse.worklist import worklist_response
from isocenter.infra.db.where import Columns, Items
from isocenter.readmodels import modality_worklist, study_list
from isocenter.readmodels.modality_worklist import WorklistItem
from isocenter.readmodels.study_list import InstanceRow, PatientRow, SeriesRow, StudyRow
from isocenter.standards.dicom import performed_step
from isocenter.standards.dicom.dictionary import keyword_of, vr_of
from isocenter.standards.dicom.dictionary_table import ELEMENTS
from isocenter.standards.dicom.matching_keys import NOT_KEYS
from isocenter.standards.dicom.query_retrieve import UNIQUE_KEYS, Level, LevelQuery
from isocenter.standards.dicom.values import DataSet, Element
from tools.document_table import table, yes_no

_LEVELS: Final[Mapping[Level, tuple[type[Any], frozenset[int]]]] = {
    Level.PATIENT: (PatientRow, study_list.PATIENT_TAGS),
    Level.STUDY: (StudyRow, study_list.STUDY_TAGS),
    Level.SERIES: (SeriesRow, study_list.SERIES_TAGS),
    Level.IMAGE: (InstanceRow, study_list.INSTANCE_TAGS),
}
_REQUEST_ATTRIBUTES_SEQUENCE: Final = 0x00400275
_IN_EVERY_RESULT: Final = frozenset({0x00080056, 0x00081190})  # availability, Retrieve URL
_BY_VR: Final[Mapping[str, str]] = {
    "UI": "single value, list of UID",
    "DA": "single value, range",
    "TM": "single value, range",
    "DT": "single value, range",
    "SQ": "sequence",
    **dict.fromkeys(("IS", "US", "UL", "SS", "SL", "FD", "FL", "DS"), "single value"),
}
_FILE_META_GROUP: Final = 0x0002
_OTHERS: Final = "single value, wild card"
_SAMPLES: Final[Mapping[type, object]] = {
    str: "X",
    int: 1,
    float: 1.0,
    date: date(2000, 1, 1),
    time: time(1),
}
_CODE: Final = {"value": "X", "scheme": "X", "meaning": "X"}


def study_keys() -> str:
    """What C-FIND and QIDO-RS match and return, each attribute at its own level.

    Standard: PS3.4 C.6.1.1, C.6.2.1; PS3.18 Tables 10.6.1-5, 10.6.3-3 to 10.6.3-5
    """
    rows: list[Sequence[object]] = []
    seen: set[int] = set()
    indexed = set[int]().union(*(_returned_by_qido(level) for level in _LEVELS))
    for level, (_, matched) in _LEVELS.items():
        found = _found(level)
        for tag in sorted((found | _returned_by_qido(level) | matched) - seen):
            fuzzy = ", fuzzy" if vr_of(tag) == "PN" else ""
            matching = _matching(tag) + fuzzy if tag in matched - NOT_KEYS else "no"
            unique = " (unique key)" if tag == UNIQUE_KEYS[level] else ""
            cells = (matching + unique, yes_no(tag in found), yes_no(tag in indexed))
            rows.append((level.value, *_attribute(tag), *cells))
            seen.add(tag)
    head = ["level", "attribute", "tag", "VR", "matching", "C-FIND returns", "QIDO-RS returns"]
    return table(head, rows)


def worklist_keys() -> str:
    """What the worklist matches and returns.

    Standard: PS3.4 K.6.1.2.2, Table K.6-1
    """
    made: dict[str, Any] = {
        name: _sample(hint) for name, hint in get_type_hints(WorklistItem).items()
    }
    response = worklist_response(WorklistItem(**made), _everything(), calling_ae_title="X")
    rows = _worklist_rows(response, modality_worklist.COLUMNS)
    return table(["attribute", "tag", "VR", "matching", "returned"], rows)


def procedure_step_keys() -> str:
    """What searches for Unified Procedure Steps match; everything that is kept is returned.

    Standard: PS3.4 CC.2.8.3, Table CC.2.5-3
    """
    rows = _procedure_step_rows(worklist.WORKITEM_KEYS)
    return table(["attribute", "tag", "VR", "matching"], rows)


def _procedure_step_rows(columns: Columns, within: str = "") -> Iterator[Sequence[object]]:
    for tag, column in sorted(columns.items()):
        name, *rest = _attribute(tag)
        yield (within + name, *rest, _matching(tag))
        yield from _procedure_step_rows(_columns_of(column), f"{within}&gt; ")


def performed_step_attributes() -> str:
    """What a performed procedure step must say when it is created, and when it ends.

    Standard: PS3.4 Table F.7.2-1
    """
    fault = performed_step.creation_fault(DataSet())
    needed = frozenset(fault.tags if fault else ())
    ends = {
        status: frozenset(performed_step.required_at_end(status))
        for status in (performed_step.COMPLETED, performed_step.DISCONTINUED)
    }
    tags = sorted({*needed, *performed_step.FIXED, *ends[performed_step.COMPLETED]})
    rows = (
        (
            *_attribute(tag),
            yes_no(tag in needed),
            yes_no(tag in performed_step.FIXED),
            *(yes_no(tag in each) for each in ends.values()),
        )
        for tag in tags
    )
    head = ["attribute", "tag", "VR", "must be in N-CREATE", "N-SET may not change it"]
    return table([*head, "needed to complete", "needed to discontinue"], rows)


def _worklist_rows(
    returned: DataSet, columns: Columns, within: str = ""
) -> Iterator[Sequence[object]]:
    for tag in sorted({*returned, *columns}):
        column = columns.get(tag)
        name, *rest = _attribute(tag)
        matching = "no" if column is None else _matching(tag)
        yield (within + name, *rest, matching, yes_no(tag in returned))
        inner = _columns_of(column)
        items = returned.sequence(tag) if tag in returned and rest[-1] == "SQ" else ()
        if items or inner:
            item = next(iter(items), DataSet())
            yield from _worklist_rows(item, inner, f"{within}&gt; ")


def _columns_of(column: object) -> Columns:
    """The attributes that are matched in the items of a sequence; none of anything else."""
    return column.columns if isinstance(column, Items) else {}


def _found(level: Level) -> set[int]:
    """What C-FIND returns at a level."""
    row_type, _ = _LEVELS[level]
    names: dict[str, Any] = dict.fromkeys(field.name for field in fields(row_type))
    asked = LevelQuery(level, (), frozenset(_tags()))
    made = answer(row_type(**names), asked, DataSet(), retrieve_ae_title="X")
    return set(made)


def _returned_by_qido(level: Level) -> set[int]:
    if level is Level.PATIENT:  # there is no such resource
        return set()
    names = {field.name for field in fields(_LEVELS[level][0])}
    indexed = {tag for name, tag in search.TAGS.items() if name in names}
    requests = {_REQUEST_ATTRIBUTES_SEQUENCE} if "request_attributes" in names else set[int]()
    return indexed | requests | _IN_EVERY_RESULT


def _matching(tag: int) -> str:
    return _BY_VR.get(_attribute(tag)[-1], _OTHERS)


def _attribute(tag: int) -> tuple[str, str, str]:
    """Keyword, tag and VR."""
    return keyword_of(tag) or "", f"({tag >> 16:04X},{tag & 0xFFFF:04X})", vr_of(tag)


@cache
def _tags() -> tuple[int, ...]:
    """Every attribute of data sets that PS3.6 knows, but for repeating groups."""
    tags = (int(line.split(" ")[0], 16) for line in ELEMENTS.splitlines())
    return tuple(sorted(tag for tag in tags if tag >> 16 > _FILE_META_GROUP))


def _everything() -> DataSet:
    """An identifier that asks for every attribute there is."""
    identifier = DataSet()
    for tag in _tags():
        identifier[tag] = Element(_attribute(tag)[-1])
    return identifier


def _sample(hint: Any) -> Any:
    kinds = [each for each in get_args(hint) if each is not NoneType] or [hint]
    if get_origin(hint) is list:
        return ["X"] if kinds == [str] else [_CODE]
    return _SAMPLES[kinds[0]]
