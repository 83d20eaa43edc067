"""Which instances a retrieval is about, and where their bytes are.

Standard: PS3.4 C.4.2.2.1, C.4.3.2.1
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.readmodels.study_list import matching_instances
from isocenter.standards.dicom.matching import AnyOf, Condition, ListOfUid, SingleValue
from isocenter.standards.dicom.query_retrieve import (
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Retrieval,
)


@dataclass(frozen=True, slots=True)
class RetrievableInstance:
    """One instance: no more than is needed to send it, because there may be very many."""

    study_instance_uid: str
    patient_id: str | None
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    blob_key: str
    size_bytes: int
    dataset_offset: int
    pixel_data_offset: int | None


_COLUMNS: Final = """
select study.study_instance_uid,
       coalesce(study.corrected_patient_id, study.patient_id) as patient_id,
       instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid,
       instance.blob_key, instance.size_bytes, instance.dataset_offset, instance.pixel_data_offset
"""


def retrievable(
    tx: Tx, viewer: Viewer, wanted: Retrieval, *, limit: int
) -> list[RetrievableInstance]:
    """At most ``limit`` instances of what is wanted, in the order in which people look at them."""
    viewer.require(Action.STUDY_READ)
    statement, params = matching_instances(_conditions(wanted))
    return tx.all(RetrievableInstance, _COLUMNS + statement + " limit %s", [*params, limit])


def _conditions(wanted: Retrieval) -> list[Condition]:
    found: list[Condition] = []
    if wanted.patient_ids:
        patients = tuple(SingleValue(PATIENT_ID, "LO", each) for each in wanted.patient_ids)
        found.append(AnyOf(PATIENT_ID, patients))
    lists: tuple[tuple[int, Sequence[str]], ...] = (
        (STUDY_INSTANCE_UID, wanted.study_instance_uids),
        (SERIES_INSTANCE_UID, wanted.series_instance_uids),
        (SOP_INSTANCE_UID, wanted.sop_instance_uids),
    )
    found += [ListOfUid(tag, tuple(values)) for tag, values in lists if values]
    return found
