"""Reading everything back: which objects are next, what was found, and what replaces the damaged.

Reading takes long and happens outside of transactions: the caller asks for a portion, reads it at
its own pace, and reports. A pass goes on where it was after any interruption, and several workers
never read the same portion at the same time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store_blobs
from isocenter.domain.archive import _store_integrity as _store
from isocenter.domain.archive.events import ObjectDamaged, ObjectRepaired
from isocenter.domain.archive.model_integrity import (
    KINDS,
    Fault,
    IntegrityState,
    ObjectKind,
    Portion,
    Reading,
    ScrubPass,
    StoredObject,
    UnknownFinding,
)
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra import outbox
from isocenter.infra.blobs.several import store_of
from isocenter.infra.db import Tx

_PORTION_OBJECTS: Final = 200
_PORTION_BYTES: Final = 1 << 30
_LEASE: Final = timedelta(minutes=2)


def next_portion(
    tx: Tx, actor: Actor, *, interval: timedelta, bytes_per_s: int, now: datetime
) -> Portion | None:
    """What the caller is to read back now; None when nothing is due, or another worker is at it.

    Begins a pass when ``interval`` has gone since the last one began. ``bytes_per_s`` is the pace
    of reading: another worker takes the portion over when the caller should long be done with it.
    """
    authorize(actor, Action.STUDY_STORE)
    current = _due_pass(tx, interval, now)
    if current is None or (current.claimed_until is not None and current.claimed_until > now):
        return None
    kind, after = current.kind, current.after_key
    while True:
        found = _worth(_store.objects(tx, kind, after=after, limit=_PORTION_OBJECTS))
        if found:
            reading = timedelta(seconds=2 * sum(each.size_bytes for each in found) / bytes_per_s)
            until = now + _LEASE + reading
            _store.claim_portion(tx, current.pass_key, kind, after, until=until)
            return Portion(current.pass_key, kind, after, found)
        if kind is KINDS[-1]:
            _store.finish_pass(tx, current.pass_key, now=now)
            return None
        kind, after = KINDS[KINDS.index(kind) + 1], 0


def _due_pass(tx: Tx, interval: timedelta, now: datetime) -> ScrubPass | None:
    current = _store.locked_pass(tx)
    if current is not None:
        return current
    last = _store.last_pass(tx)
    if last is not None and last.started_at + interval > now:
        return None
    _store.begin_pass(tx, objects_total=_store.about_how_many(tx), now=now)
    return _store.locked_pass(tx)


def _worth(found: Sequence[StoredObject]) -> Sequence[StoredObject]:
    """As many as hold a gibibyte together, at least one."""
    before = accumulate((each.size_bytes for each in found), initial=0)
    return [each for each, size in zip(found, before, strict=False) if size < _PORTION_BYTES]


def record_portion(
    tx: Tx, actor: Actor, portion: Portion, readings: Sequence[Reading], *, now: datetime
) -> int:
    """How many faults are new, after the portion was read."""
    new = record_readings(tx, actor, readings, now=now)
    _store.advance(
        tx,
        _store.Progress(
            pass_key=portion.pass_key,
            kind=portion.kind,
            before_key=portion.before_key,
            after_key=portion.objects[-1].object_key,
            objects=len(readings),
            bytes=sum(each.stored.size_bytes for each in readings),
            faults=sum(each.fault is not None for each in readings),
        ),
    )
    return new


def record_readings(tx: Tx, actor: Actor, readings: Sequence[Reading], *, now: datetime) -> int:
    """How many faults are new; findings about what is sound again are settled."""
    authorize(actor, Action.STUDY_STORE)
    sound = [each.stored.blob_key for each in readings if each.fault is None]
    _store.settle(tx, sound, "found sound again", by=actor.name, now=now)
    new = 0
    for each in readings:
        if each.fault is None:
            continue
        if _store.find(tx, each.stored, each.fault, each.detail, now=now):
            new += 1
            event = ObjectDamaged(
                each.stored.study_instance_uid, each.stored.sop_instance_uid, each.fault.value
            )
            outbox.append(tx, event, now=now)
    return new


def report_fault(
    tx: Tx, actor: Actor, blob_key: str, fault: Fault, detail: str, *, now: datetime
) -> bool:
    """Whether it is news that this blob is faulty; False also for one that is nobody's any more."""
    authorize(actor, Action.STUDY_STORE)
    stored = _store.object_of(tx, blob_key)
    return stored is not None and bool(
        record_readings(tx, actor, [Reading(stored, fault, detail)], now=now)
    )


def note_trouble(tx: Tx, actor: Actor, trouble: str) -> None:
    """Put down why the pass does not get on."""
    authorize(actor, Action.STUDY_STORE)
    _store.note_trouble(tx, trouble)


def objects_after(
    tx: Tx, actor: Actor, kind: ObjectKind, *, after: int, limit: int
) -> list[StoredObject]:
    """A page of all objects of a kind; ``after`` is the last key of the page before."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.objects(tx, kind, after=after, limit=limit)


def held_digests(
    tx: Tx, actor: Actor, sop_instance_uids: Sequence[str]
) -> dict[str, set[tuple[int, bytes]]]:
    """By SOP Instance UID the sizes and digests of the bytes that the archive holds under it."""
    authorize(actor, Action.STUDY_READ)
    held: dict[str, set[tuple[int, bytes]]] = {}
    for each in _store_blobs.held_digests(tx, sop_instance_uids):
        held.setdefault(each.sop_instance_uid, set()).add((each.size_bytes, each.sha256))
    return held


def count_objects(tx: Tx, actor: Actor) -> int:
    """How many objects of all kinds there are."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.how_many(tx)


def faulty_objects(
    tx: Tx, actor: Actor, *, limit: int, blob_key: str | None = None
) -> list[StoredObject]:
    """What is to be repaired: the objects of open findings, the longest known first."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.open_objects(tx, limit=limit, blob_key=blob_key)


def same_bytes(tx: Tx, actor: Actor, blob_key: str) -> list[str]:
    """Keys of the other blobs that should hold the bytes of this one."""
    authorize(actor, Action.SYSTEM_READ)
    return _store_blobs.same_bytes(tx, blob_key)


def replace_damaged(
    tx: Tx, actor: Actor, stored: StoredObject, *, by: str, source: str, now: datetime
) -> bool:
    """Name the sound blob ``by`` instead of the damaged one; False when nothing named that.

    ``source`` is the blob whose bytes were taken. The damaged one is left to the sweeper.
    """
    authorize(actor, Action.STUDY_STORE)
    if _store_blobs.replace_blob(tx, stored.blob_key, by) == 0:
        return False
    settlement = f"repaired from the store {store_of(source)}"
    _store.settle(tx, [stored.blob_key], settlement, by=actor.name, now=now)
    _store.count_repair(tx)
    event = ObjectRepaired(stored.study_instance_uid, stored.sop_instance_uid, store_of(source))
    outbox.append(tx, event, now=now)
    _audit(tx, actor, "object.repair", stored.study_instance_uid, stored.sop_instance_uid, now)
    return True


def give_up_object(tx: Tx, actor: Actor, finding_key: int, *, reason: str, now: datetime) -> None:
    """Settle a finding that cannot be repaired, so that it alarms no more.

    A later pass that still finds the fault opens a new finding. Raises ``UnknownFinding``.
    """
    authorize(actor, Action.PEER_WRITE)  # whoever answers for the installation
    found = _store.findings(tx, limit=1, only_open=True, finding_key=finding_key)
    if not found:
        raise UnknownFinding("there is no such open finding")
    _store.settle(tx, [found[0].blob_key], f"given up: {reason}", by=actor.name, now=now)
    uids = found[0].study_instance_uid, found[0].sop_instance_uid
    _audit(tx, actor, "object.give_up", *uids, now)


def integrity_state(tx: Tx, viewer: Viewer, *, limit: int) -> IntegrityState:
    """How far reading back is, and the newest findings."""
    viewer.require(Action.SYSTEM_READ)
    return IntegrityState(
        current=_store.current_pass(tx),
        last=_store.last_pass(tx),
        open_faults={Fault(each.fault): each.count for each in _store.open_by_fault(tx)},
        findings=_store.findings(tx, limit=limit),
    )


def _audit(
    tx: Tx, actor: Actor, action: str, study_uid: str, sop_instance_uid: str, now: datetime
) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=study_uid,
        detail={"sop_instance_uid": sop_instance_uid},
    )
    record(tx, entry, now=now)
