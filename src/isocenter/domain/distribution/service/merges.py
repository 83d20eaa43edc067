"""Tells recipients of reports who the patient is now, after a merge or its undoing.

The newest version that a recipient has goes to it once more, as a new message with the identifiers
of today; its acknowledgement is the proof. Recipients that are told of merges themselves (ADT) are
spared the repetition, and so are those for which a person switched it off.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.distribution._store import merges as _store
from isocenter.domain.distribution._store import reports
from isocenter.domain.distribution.events import DeliveryQueued
from isocenter.domain.distribution.service.audited import audit
from isocenter.domain.distribution.service.reports import facts_of, locked
from isocenter.domain.peers import service as peers
from isocenter.infra import outbox
from isocenter.infra.db import Tx

# A merge that touches more than this is a migration of a registry, and no news to anybody.
REPORTS_MAX: Final = 1_000


def resend_reports(tx: Tx, patient_keys: Sequence[int], *, now: datetime) -> int:
    """How many deliveries are queued again: reports about the exams of these records of patients.

    Standard: HL7 v2.5.1 3.6.2.1.3 (a merge changes whose results all earlier results are)
    """
    told = [peer.name for peer in peers.hl7_recipients(tx, "adt")]
    keys = _store.reports_of(tx, sorted(set(patient_keys)), not_to=told, limit=REPORTS_MAX)
    for key in keys:
        current = locked(tx, key)
        reports.requeue(tx, key, due_at=now, now=now)
        outbox.append(tx, DeliveryQueued(*facts_of(current)), now=now)
    return len(keys)


def tell_of_merges(tx: Tx, actor: Actor, recipient: str, *, told: bool, now: datetime) -> None:
    """Have the recipient get reports again when their patient is merged, or not."""
    authorize(actor, Action.DELIVERY_REPLAY)
    _store.switch(tx, recipient, told=told)
    action = "destination.tell_of_merges" if told else "destination.spare_merges"
    audit(tx, actor, action, "destination", recipient, now)


def recipients_not_told(tx: Tx, viewer: Viewer) -> list[str]:
    """Recipients that do not get reports again."""
    viewer.require(Action.DELIVERY_READ)
    return _store.not_told(tx)
