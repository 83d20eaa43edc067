"""The SQL of the records of splits. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.archive.model_rejection import HeldInstance
from isocenter.domain.archive.model_split_records import StatedIdentity
from isocenter.infra.db import Tx, jsonb

_DUE = """
select split_key from archive.split where record_due order by split_key limit %s
   for update skip locked
"""
_RECORDED = """
update archive.split set record_blob_key = %s, record_due = false where split_key = %s
"""
_STATE = "update archive.split set stated = %s, said = %s where split_key = %s"
_KNOWN = """
select exists (
    select from archive.split
     where study_instance_uid = %s and to_study_instance_uid = %s and split_at = %s)
"""


def due(tx: Tx, *, limit: int) -> list[int]:
    """Splits that changed since they were written down, or never were; locked."""
    return tx.values(_DUE, (limit,))


def recorded(tx: Tx, split_key: int, blob_key: str) -> None:
    """Keep where the split's record is."""
    tx.run(_RECORDED, (blob_key, split_key))


def state(tx: Tx, split_key: int, stated: StatedIdentity) -> None:
    """Keep what the study that the split made says of patient and order, and notes in it."""
    texts = {f"{tag:08X}": text for tag, text in stated.texts().items()}
    tx.run(_STATE, (jsonb(stated.as_row()), jsonb(texts), split_key))


def known(tx: Tx, identity: tuple[str, str, datetime]) -> bool:
    """Whether the split of these studies and that moment is known."""
    return tx.value(_KNOWN, identity)


@dataclass(frozen=True, slots=True)
class InstancePair:
    """An instance under its own UID, and under that of the other study."""

    original_sop_instance_uid: str
    sop_instance_uid: str


_PAIRS = """
select original_sop_instance_uid, sop_instance_uid from archive.split_instance
 where split_key = %s order by original_sop_instance_uid
"""


def pairs(tx: Tx, split_key: int) -> list[InstancePair]:
    """Which instances become which."""
    return tx.all(InstancePair, _PAIRS, (split_key,))


_SAYS = """
select coalesce(corrected_patient_id, patient_id) as patient_id,
       case when corrected_patient_id is null then issuer_of_patient_id
            else corrected_issuer_of_patient_id end as issuer_of_patient_id,
       coalesce(corrected_patient_name, patient_name) as patient_name,
       coalesce(corrected_patient_birth_date, patient_birth_date) as patient_birth_date,
       coalesce(corrected_patient_sex, patient_sex) as patient_sex,
       coalesce(corrected_accession_number, accession_number) as accession_number,
       coalesce(corrected_referring_physician_name, referring_physician_name)
           as referring_physician_name
  from archive.study where study_instance_uid = %s
"""


def says(tx: Tx, study_instance_uid: str) -> StatedIdentity | None:
    """What the study says now."""
    return tx.maybe(StatedIdentity, _SAYS, (study_instance_uid,))


_HELD = """
select sop_instance_uid, asserted_study_instance_uid as study_instance_uid,
       asserted_series_instance_uid as series_instance_uid, sop_class_uid, blob_key, size_bytes,
       sha256, received_at, calling_ae_title, rejection_key
  from archive.conflicting_instance
 where rejection_key is not null and asserted_study_instance_uid = %s
   and sop_instance_uid = any(%s)
 order by conflict_key
"""
_HIDDEN_NOTES = """
select sop_instance_uid, asserted_study_instance_uid as study_instance_uid,
       asserted_series_instance_uid as series_instance_uid, sop_class_uid, blob_key, size_bytes,
       sha256, received_at, calling_ae_title, rejection_key
  from archive.conflicting_instance note
 where rejection_key is not null and asserted_study_instance_uid = %s
   and (exists (select from archive.rejection
                 where note_sop_instance_uid = note.sop_instance_uid)
        or exists (select from archive.restoration
                    where note_sop_instance_uid = note.sop_instance_uid))
 order by conflict_key
"""
_SHOWN = """
select sop_instance_uid
  from archive.instance join archive.series using (series_key) join archive.study using (study_key)
 where study_instance_uid = %s and sop_instance_uid = any(%s)
"""


def held(tx: Tx, study_instance_uid: str, uids: Sequence[str]) -> list[HeldInstance]:
    """Those of the study's instances that are kept and out of use."""
    return tx.all(HeldInstance, _HELD, (study_instance_uid, list(uids)))


def hidden_notes(tx: Tx, study_instance_uid: str) -> list[HeldInstance]:
    """Notes of the study that nobody is shown, as there was nothing else in it."""
    return tx.all(HeldInstance, _HIDDEN_NOTES, (study_instance_uid,))


def shown(tx: Tx, study_instance_uid: str, uids: Sequence[str]) -> list[str]:
    """Those of the study's instances that are in use."""
    return tx.values(_SHOWN, (study_instance_uid, list(uids)))
