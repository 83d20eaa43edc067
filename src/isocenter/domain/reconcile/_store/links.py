"""The SQL of links, rejections and cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.reconcile.model import Case, Finding, Link, StudyLink
from isocenter.infra.db import Tx

_ENSURE = """
insert into reconcile.study (study_instance_uid, evaluated_at)
select uid, %s from unnest(%s::text[]) as uid order by uid on conflict do nothing
"""
_LOCK = """
select study_instance_uid from reconcile.study
 where study_instance_uid = any(%s) order by study_instance_uid for update
"""


def ensure_studies(tx: Tx, study_instance_uids: Sequence[str], *, now: datetime) -> None:
    """Have a row to lock for each study."""
    tx.run(_ENSURE, (now, list(study_instance_uids)))


def lock_studies(tx: Tx, study_instance_uids: Sequence[str]) -> None:
    """Let nobody else decide about these studies until the transaction ends."""
    tx.values(_LOCK, (list(study_instance_uids),))


@dataclass(frozen=True, slots=True)
class LinkedStudy:
    """A study that is linked to an order."""

    study_instance_uid: str
    complete: bool


_LINKED_STUDIES = """
select study_instance_uid, completed_at is not null as complete
  from reconcile.link join archive.study using (study_instance_uid)
 where link.accession_number = %s order by 1
"""


def linked_studies(tx: Tx, accession_number: str) -> list[LinkedStudy]:
    """The studies of an exam."""
    return tx.all(LinkedStudy, _LINKED_STUDIES, (accession_number,))


_LINK = """
select study_instance_uid, accession_number, order_key, method, reason, linked_at, linked_by,
       rule_key
  from reconcile.link where study_instance_uid = %s
"""


def link(tx: Tx, study_instance_uid: str) -> StudyLink | None:
    """The study's link."""
    return tx.maybe(StudyLink, _LINK, (study_instance_uid,))


_STUDIES_OF_ORDERS = "select study_instance_uid from reconcile.link where order_key = any(%s)"


def studies_of_orders(tx: Tx, order_keys: Sequence[int]) -> list[str]:
    """Studies that are linked to these orders."""
    return tx.values(_STUDIES_OF_ORDERS, (list(order_keys),))


_SET_LINK = """
insert into reconcile.link as known
       (study_instance_uid, accession_number, order_key, method, reason, linked_at, linked_by,
        rule_key)
values (%(study)s, %(accession_number)s, %(order_key)s, %(method)s, %(reason)s, %(now)s, %(by)s,
        %(rule_key)s)
on conflict (study_instance_uid) do update
   set accession_number = excluded.accession_number, method = excluded.method,
       reason = excluded.reason, order_key = excluded.order_key, rule_key = excluded.rule_key,
       linked_at = case when known.order_key = excluded.order_key then known.linked_at
                        else excluded.linked_at end,
       linked_by = excluded.linked_by
"""


def set_link(tx: Tx, study_instance_uid: str, link: Link, *, by: str, now: datetime) -> None:
    """Keep the link, replacing another; the time stays when the order stays."""
    params = {
        "study": study_instance_uid,
        "accession_number": link.accession_number,
        "order_key": link.order_key,
        "method": link.method.value,
        "reason": link.reason,
        "rule_key": link.rule_key,
        "by": by,
        "now": now,
    }
    tx.run(_SET_LINK, params)


_DROP_LINK = "delete from reconcile.link where study_instance_uid = %s"


def drop_link(tx: Tx, study_instance_uid: str) -> None:
    """Forget the study's link."""
    tx.run(_DROP_LINK, (study_instance_uid,))


_REJECTED = "select order_key from reconcile.rejection where study_instance_uid = %s"
_REJECT = """
insert into reconcile.rejection (study_instance_uid, order_key, rejected_at, rejected_by)
values (%s, %s, %s, %s) on conflict do nothing
"""
_UNREJECT = "delete from reconcile.rejection where study_instance_uid = %s and order_key = %s"


def rejected(tx: Tx, study_instance_uid: str) -> frozenset[int]:
    """Keys of the orders that a person said the study does not belong to."""
    return frozenset(tx.values(_REJECTED, (study_instance_uid,)))


def reject(tx: Tx, study_instance_uid: str, order_key: int, *, by: str, now: datetime) -> None:
    """Keep that the study does not belong to the order."""
    tx.run(_REJECT, (study_instance_uid, order_key, now, by))


def unreject(tx: Tx, study_instance_uid: str, order_key: int) -> None:
    """Forget that the study does not belong to the order."""
    tx.run(_UNREJECT, (study_instance_uid, order_key))


_CASES = """
select case_key, study_instance_uid, kind, state, fingerprint, reason, opened_at, resolved_at,
       resolved_by, resolution
  from reconcile.reconciliation_case
"""
_CASES_OF_STUDY = _CASES + "where study_instance_uid = %s order by case_key"
_OPEN_CASE = _CASES + "where case_key = %s and state = 'open'"


def cases(tx: Tx, study_instance_uid: str) -> list[Case]:
    """All cases of the study, resolved ones too, oldest first."""
    return tx.all(Case, _CASES_OF_STUDY, (study_instance_uid,))


def open_case(tx: Tx, case_key: int) -> Case | None:
    """The case, if it is open."""
    return tx.maybe(Case, _OPEN_CASE, (case_key,))


_OPEN = """
insert into reconcile.reconciliation_case
       (study_instance_uid, kind, fingerprint, reason, opened_at)
values (%s, %s, %s, %s, %s)
returning case_key
"""
_RESTATE = """
update reconcile.reconciliation_case set fingerprint = %s, reason = %s where case_key = %s
"""
_RESOLVE = """
update reconcile.reconciliation_case
   set state = 'resolved', resolved_at = %s, resolved_by = %s, resolution = %s
 where case_key = %s
"""


def open_new(tx: Tx, study_instance_uid: str, finding: Finding, *, now: datetime) -> int:
    """The key of a new case about ``finding``."""
    params = (study_instance_uid, finding.kind.value, finding.fingerprint, finding.reason, now)
    return int(tx.value(_OPEN, params))


def restate(tx: Tx, case_key: int, finding: Finding) -> None:
    """Have the open case say what is found now."""
    tx.run(_RESTATE, (finding.fingerprint, finding.reason, case_key))


def resolve(tx: Tx, case_key: int, *, by: str, resolution: str, now: datetime) -> None:
    """End the case."""
    tx.run(_RESOLVE, (now, by, resolution, case_key))
