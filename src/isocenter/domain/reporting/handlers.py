"""Reactions of reporting: a draft whose patient was merged or parted asks its writers to look."""

from datetime import datetime

from isocenter.domain.identity.events import PatientMerged, PatientUnmerged
from isocenter.domain.reporting import _store
from isocenter.domain.reporting.events import DraftPatientChanged
from isocenter.domain.reporting.service import patient_of
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def on_identity_changed(tx: Tx, event: PatientMerged | PatientUnmerged, *, now: datetime) -> None:
    """Note at each draft about these patients who its patient is now.

    The text stays. Whoever has the draft open is told at the next save that it changed, reads it
    again beside the name that the exam has now, and only then goes on. It is signed when a writer
    has confirmed that this is the patient.
    """
    keys = {event.patient_key, event.prior_key, *event.moved_keys}
    for draft in _store.lock_drafts_about(tx, sorted(keys)):
        patient_key = patient_of(tx, draft)
        if patient_key is not None and patient_key != draft.patient_key:
            _store.set_patient(tx, draft.report_id, patient_key)
            changed = DraftPatientChanged(draft.report_id, draft.accession_number, draft.order_key)
            outbox.append(tx, changed, now=now)
