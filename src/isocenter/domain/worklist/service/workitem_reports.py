"""What the use cases of workitems have in common: conditions that can be matched, and telling."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from isocenter.domain.access.model import Actor
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.worklist._store.workitems import COLUMNS
from isocenter.domain.worklist.events import WorkitemAnnounced, WorkitemReportDue
from isocenter.domain.worklist.model_workitems import Channel
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.infra.db.where import supported
from isocenter.standards.dicom.json_model import to_json
from isocenter.standards.dicom.matching import AnyOf, Condition, DateTimeRange
from isocenter.standards.dicom.matching_keys import NOT_KEYS, parse_identifier
from isocenter.standards.dicom.unified_procedure_step_events import Report
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.values_temporal import parse_offset

_TIMEZONE_OFFSET = 0x00080201
WORKITEM_KEYS = COLUMNS
"""What can be matched of workitems."""


def zone_of(attributes: DataSet, zone: tzinfo) -> tzinfo:
    """The zone of moments that do not say theirs: that of the data set, or else of the house.

    Standard: PS3.3 C.12.1.1.8, PS3.4 CC.2.8.1.3.1
    """
    return parse_offset(attributes.text(_TIMEZONE_OFFSET)) or zone


def matchable(
    conditions: Iterable[Condition], zone: tzinfo
) -> tuple[tuple[Condition, ...], frozenset[int]]:
    """The conditions that can be matched, moments without zone in ``zone``; tags of the others."""
    asked = tuple(conditions)
    usable = supported(asked, COLUMNS)
    known = {_tag(each) for each in usable}
    passed_over = frozenset(_tag(each) for each in asked) - known
    return tuple(_zoned(each, zone) for each in usable), passed_over


def filter_conditions(identifier: DataSet, zone: tzinfo) -> tuple[Condition, ...]:
    """What the matching keys of a subscription ask for, as far as it can be matched."""
    query = parse_identifier(identifier)
    return matchable(query.conditions, zone_of(identifier, zone))[0]


def unmatched_keys(identifier: DataSet) -> frozenset[int]:
    """Keys with a value that cannot be matched.

    A sequence of which one key cannot be matched cannot be matched.
    """
    asked = parse_identifier(identifier).conditions
    usable = supported(asked, COLUMNS)
    return frozenset(_tag(each) for each in set(asked) - set(usable)) - NOT_KEYS


def _tag(condition: Condition) -> int:
    return getattr(condition, "tag", 0)


def _zoned(condition: Condition, zone: tzinfo) -> Condition:
    match condition:
        case DateTimeRange(_, earliest, latest):
            return replace(condition, earliest=_in(earliest, zone), latest=_in(latest, zone))
        case AnyOf(_, options):
            return replace(condition, options=tuple(_zoned(each, zone) for each in options))
        case _:
            return condition


def _in(moment: datetime | None, zone: tzinfo) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=zone).astimezone(UTC)


def tell(
    tx: Tx,
    subscribers: Sequence[tuple[str, str]],
    sop_instance_uid: str,
    reports: Iterable[Report],
    *,
    now: datetime,
) -> None:
    """Queue reports on one workitem for subscribers: pairs of AE title and channel.

    The caller holds the lock on the workitem, so that each subscriber hears of it in order.

    Standard: PS3.4 CC.2.4.3
    """
    events: list[WorkitemReportDue | WorkitemAnnounced] = []
    for event_type, information in reports:
        said = to_json(information)
        for ae_title, channel in subscribers:
            if channel == Channel.WEB:
                events.append(WorkitemAnnounced(ae_title, sop_instance_uid, event_type, said))
            else:
                events.append(WorkitemReportDue(ae_title, sop_instance_uid, event_type, said, now))
    outbox.append_all(tx, events, now=now)


class Subject(NamedTuple):
    """What an act was about: the workitem, and whom it concerns where that is known."""

    sop_instance_uid: str
    patient_id: str | None = None


def audited(
    tx: Tx,
    who: Actor,
    action: str,
    subject: Subject,
    *,
    now: datetime,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Put on record what was done with a workitem."""
    entry = AuditEntry(
        action=action,
        actor=who.name,
        actor_kind=who.kind,
        source=who.source,
        object_type="workitem",
        object_id=subject.sop_instance_uid,
        patient_id=subject.patient_id,
        detail=detail or {},
    )
    audit.record(tx, entry, now=now)
