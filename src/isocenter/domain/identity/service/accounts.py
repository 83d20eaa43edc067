"""Accounts that are merged together with their patients, until the merge is undone.

Standard: HL7 v2.5.1 3.3.18 (A18), 3.3.36 (A36)
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity import _store, _store_visits
from isocenter.domain.identity import _store_accounts as store
from isocenter.domain.identity.events import VisitRenumbered
from isocenter.domain.identity.model import Merge, PatientIdentifier, Registered
from isocenter.domain.identity.model_visits import VisitFacts, VisitNumber
from isocenter.domain.identity.service.visits import renumber_visit, visit_entry
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def merge_account(
    tx: Tx,
    actor: Actor,
    merged: tuple[Registered, Sequence[PatientIdentifier]],
    former: VisitNumber,
    facts: VisitFacts,
    *,
    now: datetime,
) -> bool:
    """Let the account of patients that were merged be known by the number that remains.

    What the former number stood for is kept, to be given back. Where that merge of the patients was
    undone, and is not said anew, nothing is done.

    Args:
        tx: the caller's.
        actor: who says so.
        merged: what came of the merge, and the prior identifiers that it names.
        former: the account's number before.
        facts: what is said of the account, under the number that remains.
        now: aware.

    Returns:
        whether it is new.
    """
    authorize(actor, Action.PATIENT_WRITE)
    patient, prior = merged
    keys = {each.patient_key for each in _store.lock_by_identifiers(tx, [(e,) for e in prior])}
    said = [
        each
        for each in _store.merges_connected(tx, patient.patient_key)
        if each.survivor_key == patient.patient_key and each.prior_key in keys
    ]
    standing = [each for each in said if each.undone_at is None]
    if said and not standing:
        return False
    before = store.visit_row(tx, former)
    is_new = store.visit_row(tx, facts.number) is None
    if not renumber_visit(tx, actor, patient.current_key, former, facts, now=now):
        return False
    after = store.visit_row(tx, facts.number)
    if standing and after is not None:
        holder = before["patient_key"] if before else None
        merge = next((each for each in standing if each.prior_key == holder), standing[-1])
        store.keep_merged_visit(
            tx,
            store.MergedVisit(
                merge.merge_key,
                former.assigning_authority,
                former.value,
                facts.number.assigning_authority,
                facts.number.value,
                before,
                is_new,
                datetime.fromisoformat(after["asserted_at"]),
            ),
        )
    return True


def give_back_accounts(tx: Tx, actor: Actor, merge: Merge, *, now: datetime) -> None:
    """Let the accounts that a merge took be the prior patient's again, under their numbers.

    Their orders follow. What was said since under the number that remains stays there.
    """
    authorize(actor, Action.PATIENT_WRITE)
    for each in reversed(store.take_merged_visits(tx, merge.merge_key, now)):
        former = VisitNumber(each.former_number, each.former_authority)
        number = VisitNumber(each.visit_number, each.visit_authority)
        _store_visits.lock_visits(tx, [former, number])
        if each.is_new:
            store.forget_unless_said_since(tx, number, each.asserted_at)
        if each.visit is not None:
            store.restore_visit(tx, each.visit, now)
        event = VisitRenumbered(number.value, former.value, merge.prior_key)
        outbox.append(tx, event, now=now)
        audit.record(tx, visit_entry(actor, "visit.renumber", number, [former.value]), now=now)
