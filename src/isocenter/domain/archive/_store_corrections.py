"""The SQL of what a study's images should say now. One function changes or tells one thing."""

from collections.abc import Mapping, Sequence
from typing import Any

from isocenter.domain.archive.model_corrections import CorrectedStudy
from isocenter.infra.db import Tx

_CORRECTED = """
update archive.study
   set corrected_patient_id = %(patient_id)s,
       corrected_issuer_of_patient_id = %(issuer_of_patient_id)s,
       corrected_patient_name = %(patient_name)s,
       corrected_patient_name_normalised = %(patient_name_normalised)s,
       corrected_patient_name_phonetic = %(patient_name_phonetic)s,
       corrected_patient_birth_date = %(patient_birth_date)s,
       corrected_patient_sex = %(patient_sex)s,
       corrected_accession_number = %(accession_number)s,
       corrected_referring_physician_name = %(referring_physician_name)s,
       corrected_referring_physician_normalised = %(referring_physician_normalised)s,
       corrected_at = %(corrected_at)s
 where study_instance_uid = %(study)s
   and (corrected_patient_id, corrected_issuer_of_patient_id, corrected_patient_name,
        corrected_patient_birth_date, corrected_patient_sex, corrected_accession_number,
        corrected_referring_physician_name)
       is distinct from
       (%(patient_id)s::text, %(issuer_of_patient_id)s::text, %(patient_name)s::text,
        %(patient_birth_date)s::date, %(patient_sex)s::text, %(accession_number)s::text,
        %(referring_physician_name)s::text)
"""


# The record of a split tells what the study that it made says.
_RECORD_DUE = """
update archive.split set record_due = true
 where to_study_instance_uid = %s and undone_at is null and not joins and not record_due
"""


def correct(tx: Tx, study: str, columns: Mapping[str, Any]) -> bool:
    """Whether the study's corrections are others than before."""
    changed = tx.run(_CORRECTED, {"study": study, **columns}) > 0
    if changed:
        tx.run(_RECORD_DUE, (study,))
    return changed


_CORRECTIONS = """
select study_instance_uid, corrected_patient_id as patient_id,
       corrected_issuer_of_patient_id as issuer_of_patient_id,
       corrected_patient_name as patient_name, corrected_patient_birth_date as patient_birth_date,
       corrected_patient_sex as patient_sex, corrected_accession_number as accession_number,
       corrected_referring_physician_name as referring_physician_name, corrected_at
  from archive.study
 where study_instance_uid = any(%s) and corrected_at is not null
"""


def corrections(tx: Tx, study_instance_uids: Sequence[str]) -> list[CorrectedStudy]:
    """The corrections of those of the studies that have any."""
    return tx.all(CorrectedStudy, _CORRECTIONS, (list(study_instance_uids),))
