"""The queue of studies that need a person: the longest waiting first, one row per study."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.standards.dicom.matching import person_name_key

ROWS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCase:
    """A study that needs a person, for one reason.

    Attributes:
        linked_accession_number: of the order that it is linked to all the same.
    """

    case_key: int
    study_instance_uid: str
    kind: str
    reason: str
    opened_at: datetime
    patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    accession_number: str | None
    study_date: date | None
    study_description: str | None
    modalities: list[str]
    number_of_instances: int
    first_received_at: datetime
    calling_ae_titles: list[str]
    linked_accession_number: str | None


_OPEN_CASES = """
select case_key, c.study_instance_uid, kind, c.reason, opened_at, patient_id, patient_name,
       patient_birth_date, s.accession_number, study_date, study_description, modalities,
       number_of_instances, first_received_at, calling_ae_titles,
       link.accession_number as linked_accession_number
  from reconcile.reconciliation_case c
  join archive.study s using (study_instance_uid)
  left join reconcile.link using (study_instance_uid)
 where c.state = 'open'
   and (%(study)s::text is null or c.study_instance_uid = %(study)s)
 order by opened_at, case_key
 limit %(limit)s
"""


def open_cases(
    tx: Tx, viewer: Viewer, *, study_instance_uid: str | None = None, limit: int = 100
) -> list[OpenCase]:
    """Open cases, the longest waiting first; or those of one study."""
    viewer.require(Action.STUDY_READ)
    return tx.all(OpenCase, _OPEN_CASES, {"study": study_instance_uid, "limit": limit})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueQuery:
    """Which part of the queue is wanted.

    Attributes:
        text: of a name, or a patient ID, accession number or AE title.
        owner: only studies that this user looks after; '' for those that nobody does.
        held: those that rest, instead of those that do not.
        after: opening time and study of the row to go on behind.
    """

    kind: str | None = None
    text: str | None = None
    owner: str | None = None
    held: bool = False
    after: tuple[datetime, str] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A study that needs a person.

    Attributes:
        kinds: of its open cases, and ``reasons`` in the same order.
        opened_at: when the oldest of them was opened.
        thumbnail_series: Series Instance UID of a series to show.
    """

    study_instance_uid: str
    kinds: list[str]
    reasons: list[str]
    opened_at: datetime
    patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    accession_number: str | None
    study_description: str | None
    modalities: list[str]
    number_of_instances: int
    first_received_at: datetime
    calling_ae_titles: list[str]
    linked_accession_number: str | None
    owner: str | None
    held_until: datetime | None
    hold_reason: str | None
    thumbnail_series: str | None


_QUEUE = """
with waiting as (
    select study_instance_uid, min(opened_at) as opened_at,
           array_agg(kind order by case_key) as kinds,
           array_agg(reason order by case_key) as reasons
      from reconcile.reconciliation_case
     where state = 'open'
     group by study_instance_uid)
select w.study_instance_uid, w.kinds, w.reasons, w.opened_at, s.patient_id, s.patient_name,
       s.patient_birth_date, s.accession_number, s.study_description, s.modalities,
       s.number_of_instances, s.first_received_at, s.calling_ae_titles,
       link.accession_number as linked_accession_number,
       attention.owner, attention.held_until, attention.hold_reason,
       (select series_instance_uid from archive.series
         where series.study_key = s.study_key and modality not in ('SR', 'PR', 'KO')
         order by series_number nulls last, series_key limit 1) as thumbnail_series
  from waiting w
  join archive.study s using (study_instance_uid)
  left join reconcile.link using (study_instance_uid)
  left join reconcile.attention using (study_instance_uid)
 where (%(kind)s::text is null or %(kind)s = any(w.kinds))
   and (%(owner)s::text is null or coalesce(attention.owner, '') = %(owner)s)
   and (coalesce(attention.held_until > %(now)s, false) = %(held)s)
   and (%(text)s::text is null or upper(s.patient_id) = upper(%(text)s)
        or upper(btrim(s.accession_number)) = upper(%(text)s)
        or %(text)s = any(s.calling_ae_titles)
        or s.patient_name_normalised like %(name)s)
   and (%(after_at)s::timestamptz is null
        or (w.opened_at, w.study_instance_uid) > (%(after_at)s, %(after_study)s))
 order by w.opened_at, w.study_instance_uid
 limit %(limit)s
"""


def queue(tx: Tx, viewer: Viewer, query: QueueQuery, *, now: datetime) -> list[QueueRow]:
    """Studies that need a person, the longest waiting first."""
    viewer.require(Action.STUDY_READ)
    text = (query.text or "").strip() or None
    after_at, after_study = query.after or (None, None)
    params = {
        "kind": query.kind or None,
        "text": text,
        "name": _pattern(text) if text else None,
        "owner": query.owner,
        "held": query.held,
        "after_at": after_at,
        "after_study": after_study,
        "limit": min(query.limit, ROWS_MAX),
        "now": now,
    }
    return tx.all(QueueRow, _QUEUE, params)


def _pattern(text: str) -> str:
    key = person_name_key(text)
    for special in ("\\", "%", "_"):
        key = key.replace(special, f"\\{special}")
    return f"%{key}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """How much waits.

    Attributes:
        waiting: studies that need a person and do not rest.
        held: those that rest.
        overdue: those of ``waiting`` that have waited for too long.
    """

    waiting: int
    held: int
    overdue: int
    oldest_at: datetime | None
    kinds: dict[str, int]


_COUNTS = """
with waiting as (
    select study_instance_uid, min(opened_at) as opened_at,
           coalesce(min(held_until) > %(now)s, false) as held
      from reconcile.reconciliation_case
      left join reconcile.attention using (study_instance_uid)
     where state = 'open'
     group by study_instance_uid),
kind as (
    select kind, count(*)::int as number from reconcile.reconciliation_case
     where state = 'open' group by kind)
select count(*) filter (where not held)::int as waiting, count(*) filter (where held)::int as held,
       count(*) filter (where not held and opened_at < %(overdue)s)::int as overdue,
       min(opened_at) filter (where not held) as oldest_at,
       (select coalesce(jsonb_object_agg(kind, number), '{}') from kind) as kinds
  from waiting
"""


def counts(tx: Tx, viewer: Viewer, *, overdue_since: datetime, now: datetime) -> QueueCounts:
    """How many studies need a person; ``overdue_since``: opened before it is too long ago."""
    viewer.require(Action.STUDY_READ)
    found = tx.maybe(QueueCounts, _COUNTS, {"now": now, "overdue": overdue_since})
    return found or QueueCounts(waiting=0, held=0, overdue=0, oldest_at=None, kinds={})


_WAITING = """
select count(distinct study_instance_uid)::int from reconcile.reconciliation_case c
 where state = 'open'
   and not exists (select from reconcile.attention
                    where attention.study_instance_uid = c.study_instance_uid
                      and held_until > %s)
"""


def waiting_count(tx: Tx, viewer: Viewer, *, now: datetime) -> int:
    """How many studies need a person now: the figure on every page."""
    viewer.require(Action.STUDY_READ)
    return int(tx.value(_WAITING, (now,)))


@dataclass(frozen=True, slots=True)
class OverdueCase:
    """A study that waits for a person too long."""

    study_instance_uid: str
    opened_at: datetime
    owner: str | None


_OVERDUE = """
select study_instance_uid, min(opened_at) as opened_at, min(owner) as owner
  from reconcile.reconciliation_case
  left join reconcile.attention using (study_instance_uid)
 where state = 'open' and opened_at < %(before)s and coalesce(held_until <= %(now)s, true)
 group by study_instance_uid order by 2 limit %(limit)s
"""


def overdue(
    tx: Tx, viewer: Viewer, *, before: datetime, now: datetime, limit: int = 1_000
) -> list[OverdueCase]:
    """Studies whose cases were opened ``before`` and that do not rest, the oldest first."""
    viewer.require(Action.STUDY_READ)
    return tx.all(OverdueCase, _OVERDUE, {"before": before, "now": now, "limit": limit})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Who looks after a study, whether it rests, and whose a person said it is."""

    owner: str | None
    owned_at: datetime | None
    held_until: datetime | None
    held_by: str | None
    hold_reason: str | None
    chosen_patient_id: str | None
    chosen_patient_name: str | None
    chosen_by: str | None


_ATTENTION = """
select owner, owned_at, held_until, held_by, hold_reason,
       patient.patient_id as chosen_patient_id, patient.person_name as chosen_patient_name,
       chosen_by
  from (select %s::text as study_instance_uid) wanted
  left join reconcile.attention using (study_instance_uid)
  left join reconcile.patient_choice using (study_instance_uid)
  left join identity.current_patient patient
    on patient.patient_key = patient_choice.patient_key
"""


def attention(tx: Tx, viewer: Viewer, study_instance_uid: str) -> Attention:
    """Who looks after the study."""
    viewer.require(Action.STUDY_READ)
    found = tx.maybe(Attention, _ATTENTION, (study_instance_uid,))
    return found or Attention(
        owner=None,
        owned_at=None,
        held_until=None,
        held_by=None,
        hold_reason=None,
        chosen_patient_id=None,
        chosen_patient_name=None,
        chosen_by=None,
    )


@dataclass(frozen=True, slots=True)
class Copy:
    """A peer that was sent the study's images, and how it stands."""

    recipient: str
    kind: str
    state: str
    queued_at: datetime
    acknowledged_at: datetime | None
    instances: int
    instances_sent: int


_COPIES = """
select recipient, kind, state, queued_at, acknowledged_at, instances, instances_sent
  from distribution.transfer where study_instance_uid = %s
 order by queued_at desc, delivery_key desc limit 50
"""


def copies(tx: Tx, viewer: Viewer, study_instance_uid: str) -> list[Copy]:
    """What was sent of the study to whom, the newest first."""
    viewer.require(Action.STUDY_READ)
    return tx.all(Copy, _COPIES, (study_instance_uid,))
