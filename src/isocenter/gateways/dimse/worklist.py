"""Modality worklist identifiers: what one asks for, and what an item answers.

An answer holds the keys that were asked for, and of a sequence the ones that were asked for inside
of it; everything when a sequence was asked for without saying what. A text that is too long for its
VR is cut rather than sent, because one bad item would hide the whole worklist.

Standard: PS3.4 K.6.1.2, Table K.6-1
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.worklist import service as worklist
from isocenter.gateways.dimse.ports import QueryRequest
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool
from isocenter.readmodels.modality_worklist import LIMIT_MAX, WorklistItem, search
from isocenter.standards.dicom import character_sets
from isocenter.standards.dicom.matching import Condition
from isocenter.standards.dicom.matching_keys import NOT_KEYS, parse_identifier
from isocenter.standards.dicom.values import DataSet, Element
from isocenter.standards.dicom.values_fitted import code_items, data_set_of, fitted

SPECIFIC_CHARACTER_SET: Final = 0x00080005
_SCHEDULED_PROCEDURE_STEP_SEQUENCE: Final = 0x00400100
_STATION_AE_TITLE: Final = 0x00400001
_UNKNOWN_MODALITY: Final = "OT"  # PS3.3 C.7.3.1.1.1: Other
_DECIMAL_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class WorklistQuery:
    """What a worklist identifier asks for. ``character_set``: defined terms, none for ASCII."""

    conditions: tuple[Condition, ...]
    character_set: tuple[str, ...]


def worklist_query(identifier: DataSet) -> WorklistQuery:
    """The search that an identifier asks for. Raises ``UnmatchableKeyError``.

    Standard: PS3.4 K.6.1.2.2
    """
    query = parse_identifier(identifier)
    return WorklistQuery(query.conditions, identifier.specific_character_set)


def worklist_response(
    item: WorklistItem, identifier: DataSet, *, calling_ae_title: str = ""
) -> DataSet:
    """The answer that stands for one item, in the character set of the question if it holds it all.

    Keys that we do not have are left out (they are of type 3); the ones of type 2 that have no
    value are there and empty. An item for any station answers with the caller's AE title.

    Standard: PS3.4 K.4.1.1.3.2, K.2.2.1.2; PS3.3 C.12.1.1.2
    """
    known = _attributes(item, calling_ae_title)
    response = asked_of(known, identifier)
    terms = character_sets.choose(response.all_texts(), identifier.specific_character_set)
    if terms:
        response.put(SPECIFIC_CHARACTER_SET, *terms)
    return response.sorted()


class ModalityWorklist:
    """Answers worklist queries from the database, and keeps that they were answered."""

    def __init__(
        self, pool: Pool, *, clock: Clock, time_zone: str = "UTC", limit: int = LIMIT_MAX
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._time_zone = time_zone
        self._limit = limit

    def __call__(self, request: QueryRequest, /) -> Iterator[DataSet]:
        """The matches, the earliest first. What they were given is recorded before they go out."""
        asked = worklist_query(request.identifier)
        caller = request.caller
        actor = Actor.dicom_peer(
            request.grant.peer_name, caller.address, [each.value for each in request.grant.services]
        )

        def answer(tx: Tx) -> list[WorklistItem]:
            viewer = Viewer.of(actor, Action.WORKLIST_READ)
            items = search(
                tx, viewer, asked.conditions, limit=self._limit, time_zone=self._time_zone
            )
            worklist.record_query(
                tx,
                actor,
                {item.step_key: item.accession_number for item in items},
                calling_ae_title=caller.calling_ae_title,
                now=self._clock(),
            )
            return items

        for item in self._pool.run_here(answer):
            yield worklist_response(
                item, request.identifier, calling_ae_title=caller.calling_ae_title
            )


def asked_of(known: DataSet, identifier: DataSet) -> DataSet:
    """The part of ``known`` that ``identifier`` asks for."""
    answer = DataSet()
    for tag, key in identifier.items():
        element = known.get(tag)
        if element is None or tag in NOT_KEYS:
            continue
        asked = next((each for each in key.values if isinstance(each, DataSet)), None)
        if element.vr == "SQ" and asked:
            items = (each for each in element.values if isinstance(each, DataSet))
            answer[tag] = Element("SQ", tuple(asked_of(each, asked) for each in items))
        else:
            answer[tag] = element
    return answer


def _attributes(item: WorklistItem, calling_ae_title: str) -> DataSet:
    """Everything that Table K.6-1 asks for and an item has, types 2 without value included."""
    procedure = item.procedure_description or item.code_meaning or item.code_value
    found = data_set_of({
        0x00080050: item.accession_number,
        0x00080090: item.referring_physician_name,
        0x00081110: None,  # Referenced Study Sequence, type 2
        0x00081120: None,  # Referenced Patient Sequence, type 2
        0x00100010: item.person_name or item.patient_id,  # type 1
        0x00100020: item.patient_id,
        0x00100021: item.issuer_of_patient_id,
        0x00100030: item.birth_date,
        0x00100040: item.sex,
        0x00101020: _decimal(item.patient_size_m),
        0x00101030: _decimal(item.patient_weight_kg),
        0x00102000: item.clinical_information,
        0x00102110: item.allergies,
        0x001021C0: item.pregnancy_status,
        0x0020000D: item.study_instance_uid,
        0x00321032: item.requesting_physician,
        0x00321060: procedure or item.modality or _UNKNOWN_MODALITY,
        0x00380010: item.admission_id,
        0x00380050: item.special_needs,
        0x00380300: item.patient_location,
        0x00380500: item.patient_state,
        0x00401001: item.requested_procedure_id,
        0x00401002: item.reason_for_study,
        0x00401003: item.priority,
        0x00401004: item.transport_arrangements,
        0x00402004: item.ordered_on,
        0x00402016: item.placer_order_number,
        0x00402017: item.filler_order_number,
        0x00403001: None,  # Confidentiality Constraint on Patient Data, type 2
    })
    if item.code_value:
        found[0x00321064] = code_items([
            {
                "value": item.code_value,
                "scheme": item.code_scheme or "",
                "meaning": item.code_meaning or "",
            }
        ])
    found[_SCHEDULED_PROCEDURE_STEP_SEQUENCE] = Element("SQ", (_step(item, calling_ae_title),))
    return found


def _step(item: WorklistItem, calling_ae_title: str) -> DataSet:
    # Of a description and a code the standard wants one; scanners show the description.
    description = item.step_description or next(
        (each["meaning"] for each in item.protocol_codes if each.get("meaning")), None
    )
    found = data_set_of({
        0x00080060: item.modality or _UNKNOWN_MODALITY,
        0x00321070: item.requested_contrast_agent,
        0x00400002: item.start_date,
        0x00400003: item.start_time,
        0x00400006: item.performing_physician_name,
        0x00400007: description or item.procedure_description or item.code_meaning,
        0x00400009: item.scheduled_procedure_step_id,
        0x00400010: item.station_name,
        0x00400011: item.step_location,
        0x00400012: item.pre_medication,
        0x00400020: item.status,
    })
    titles = item.station_ae_titles or [calling_ae_title]
    found.put(_STATION_AE_TITLE, *[fitted("AE", title) for title in titles if title])
    if item.protocol_codes:
        found[0x00400008] = code_items(item.protocol_codes)
    return found


def _decimal(number: float | None) -> str | None:
    return None if number is None else f"{number:.{_DECIMAL_DIGITS}g}"
