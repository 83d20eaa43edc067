"""Makes received objects visible: one call for a batch of any size, of any mixture of studies.

A batch costs three statements and one event per series, whatever its size. What is unusual
(instances that are here already, studies that contradict themselves) costs a few more. Further
images of a series that was announced within the last second cost one statement: ``admit_more``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store, model
from isocenter.domain.archive import _store_rejection as _rejections
from isocenter.domain.archive.events import ConflictingInstanceKept, InstancesAdmitted
from isocenter.domain.archive.model import (
    Admission,
    InstanceIdentity,
    NotAnInstance,
    Outcome,
    ReceivedInstance,
    SeriesAttributes,
    StudyAttributes,
)
from isocenter.domain.archive.model_rejection import ReceivedNote
from isocenter.domain.archive.service.rejection import apply_note
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record_many
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys

_STUDY_FIELDS = tuple(each.name for each in fields(StudyAttributes))
_SERIES_FIELDS = tuple(each.name for each in fields(SeriesAttributes))
_STUDY_TAGS = (
    model.PATIENT_ID,
    model.ISSUER_OF_PATIENT_ID,
    model.PATIENT_NAME,
    model.PATIENT_BIRTH_DATE,
    model.PATIENT_SEX,
    model.ACCESSION_NUMBER,
    model.STUDY_ID,
    model.STUDY_DATE,
    model.STUDY_TIME,
    model.STUDY_DESCRIPTION,
    model.REFERRING_PHYSICIAN_NAME,
)

_ANNOUNCED_FOR: Final = timedelta(seconds=1)
_FAMILIAR_MAX: Final = 256

A = TypeVar("A")
SeriesId = tuple[str, str]  # Study Instance UID, Series Instance UID


@dataclass(frozen=True, slots=True)
class _Candidate:
    received: ReceivedInstance
    identity: InstanceIdentity
    study: StudyAttributes

    @property
    def series(self) -> SeriesId:
        return self.identity.study_instance_uid, self.identity.series_instance_uid


@dataclass(frozen=True, slots=True)
class _Acquaintance:
    series_key: int
    said: tuple[str | None, ...]
    announced_at: datetime


class Familiar:
    """Series to which one process has just admitted images of one sender, so that more are cheap.

    A series is familiar for a second after its images were announced and audited, to images that
    say the same of their study. What it saves is work only: an instance that cannot be stored this
    way goes the whole way. Not shared between threads.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str | None, ...], _Acquaintance] = {}

    def series_key(self, actor: Actor, said: Mapping[int, str], now: datetime) -> int | None:
        """The key of the instance's series, when nothing but the instance is news."""
        known = self._series.get(_acquaintance_key(actor, said))
        if known is None or now - known.announced_at >= _ANNOUNCED_FOR:
            return None
        return known.series_key if known.said == _said_of_study(said) else None

    def meet(self, actor: Actor, said: Mapping[int, str], series_key: int, now: datetime) -> None:
        """Remember a series that was announced at ``now``."""
        if len(self._series) >= _FAMILIAR_MAX:
            self._series.clear()
        acquaintance = _Acquaintance(series_key, _said_of_study(said), now)
        self._series[_acquaintance_key(actor, said)] = acquaintance

    def forget(self) -> None:
        """Remember nothing, after a transaction that may not have happened."""
        self._series.clear()


def _acquaintance_key(actor: Actor, said: Mapping[int, str]) -> tuple[str | None, ...]:
    study, series = said.get(model.STUDY_INSTANCE_UID), said.get(model.SERIES_INSTANCE_UID)
    return actor.name, actor.source, study, series


def _said_of_study(said: Mapping[int, str]) -> tuple[str | None, ...]:
    return tuple(map(said.get, _STUDY_TAGS))


def admit_more(
    tx: Tx, actor: Actor, batch: Sequence[ReceivedInstance], *, now: datetime, familiar: Familiar
) -> list[Admission | None]:
    """What became of each object of ``batch`` that is one more of a familiar series.

    None stands for what has to go the whole way of ``admit``. At most one statement, whose effect
    does not depend on a further one: it may be a transaction of its own.
    """
    authorize(actor, Action.STUDY_STORE)
    admissions: list[Admission | None] = [None] * len(batch)
    rows: dict[str, dict[str, Any]] = {}
    places: dict[str, int] = {}
    for index, received in enumerate(batch):
        series_key = familiar.series_key(actor, received.attributes, now)
        uid = received.attributes.get(model.SOP_INSTANCE_UID, "")
        plain = received.note is None and model.is_uid(uid)
        if series_key is not None and plain and uid not in rows:
            rows[uid] = _instance_row(received, series_key)
            places[uid] = index
    for uid in _store.store(tx, list(rows.values()), now=now) if rows else ():
        admissions[places[uid]] = Admission(uid, Outcome.STORED)
    return admissions


def admit(
    tx: Tx,
    actor: Actor,
    batch: Sequence[ReceivedInstance],
    *,
    now: datetime,
    familiar: Familiar | None = None,
) -> list[Admission]:
    """What became of each object of ``batch``, in its order.

    One bad object does not fail the others: its outcome is ``REFUSED``. Every other outcome is
    success to the sender once the caller has committed. May be called by any number of processes
    at once, also for the same study and the same instances.

    Args:
        tx: the caller commits it, and lets ``familiar`` forget when that fails.
        actor: the sender.
        batch: objects whose bytes are durable.
        now: the time of admission.
        familiar: the caller's memory of what it admitted lately, for ``admit_more``.

    Standard: PS3.4 B.2, PS3.18 10.5
    """
    authorize(actor, Action.STUDY_STORE)
    admissions: list[Admission | None] = [None] * len(batch)
    candidates: dict[str, tuple[int, _Candidate]] = {}
    repeats: list[tuple[int, _Candidate]] = []
    parsed: dict[tuple[str | None, ...], StudyAttributes] = {}
    for index, received in enumerate(batch):
        try:
            candidate = _candidate(received, parsed)
        except NotAnInstance as refusal:
            uid = model.text_of(received.attributes, model.SOP_INSTANCE_UID) or ""
            admissions[index] = Admission(uid, Outcome.REFUSED, refusal.message)
            continue
        if received.note is not None and Action.STUDY_REJECT not in actor.actions:
            uid, reason = candidate.identity.sop_instance_uid, "may not reject images"
            admissions[index] = Admission(uid, Outcome.REFUSED, reason)
            continue
        uid = candidate.identity.sop_instance_uid
        if uid in candidates:
            repeats.append((index, candidate))
        else:
            candidates[uid] = index, candidate
    familiar = Familiar() if familiar is None else familiar
    known = _store_new(tx, actor, candidates, admissions, now, familiar) if candidates else []
    _settle_known(tx, [*known, *repeats], admissions, now)
    return [each for each in admissions if each is not None]


def _candidate(
    received: ReceivedInstance, parsed: dict[tuple[str | None, ...], StudyAttributes]
) -> _Candidate:
    """The object with its place. Objects of one study mostly repeat its attributes: parsed once."""
    attributes = received.attributes
    identity = model.identify(attributes)
    key = _said_of_study(attributes)
    study = parsed.get(key)
    if study is None:
        study = parsed[key] = model.study_attributes(attributes)
    return _Candidate(received, identity, study)


def _store_new(
    tx: Tx,
    actor: Actor,
    candidates: Mapping[str, tuple[int, _Candidate]],
    admissions: list[Admission | None],
    now: datetime,
    familiar: Familiar,
) -> list[tuple[int, _Candidate]]:
    """Insert what is new; gives what turned out to be here already."""
    in_order = [candidate for _, candidate in candidates.values()]
    places = {
        (place.study_instance_uid, place.series_instance_uid): place
        for place in _store.places(tx, _study_rows(in_order), _series_rows(in_order), now=now)
    }
    rows = [_instance_row(each.received, places[each.series].series_key) for each in in_order]
    stored = _store.store(tx, rows, now=now)
    for uid in stored:
        admissions[candidates[uid][0]] = Admission(uid, Outcome.STORED)
    new = [each for each in in_order if each.identity.sop_instance_uid in stored]
    if len(new) < len(in_order):
        _drop_empty(tx, places.values(), new)
    disagreements = _supplement(tx, places, new)
    _announce(tx, actor, places, new, disagreements, now)
    for each in new:
        if each.identity.study_instance_uid not in disagreements:
            attributes = each.received.attributes
            familiar.meet(actor, attributes, places[each.series].series_key, now)
    _apply_notes(tx, actor, new, now)
    return [entry for uid, entry in candidates.items() if uid not in stored]


def _apply_notes(tx: Tx, actor: Actor, new: Sequence[_Candidate], now: datetime) -> None:
    for each in new:
        if each.received.note is not None:
            received = ReceivedNote(
                note=each.received.note,
                study_instance_uid=each.identity.study_instance_uid,
                sop_instance_uid=each.identity.sop_instance_uid,
                patient_id=each.study.patient_id,
            )
            apply_note(tx, actor, received, now=now)


def _first_of(
    candidates: Iterable[_Candidate], key: Callable[[_Candidate], A]
) -> dict[A, _Candidate]:
    firsts: dict[A, _Candidate] = {}
    for each in candidates:
        firsts.setdefault(key(each), each)
    return firsts


def _study_row(attributes: StudyAttributes) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(attributes, name) for name in _STUDY_FIELDS}
    name = attributes.patient_name
    row["patient_name_normalised"] = name and person_name_key(name)
    row["patient_name_phonetic"] = name and " ".join(phonetic_keys(name))
    referrer = attributes.referring_physician_name
    row["referring_physician_normalised"] = referrer and person_name_key(referrer)
    return row


def _study_rows(candidates: Sequence[_Candidate]) -> list[dict[str, Any]]:
    firsts = _first_of(candidates, lambda each: each.identity.study_instance_uid)
    return [{"study_instance_uid": uid, **_study_row(each.study)} for uid, each in firsts.items()]


def _series_rows(candidates: Sequence[_Candidate]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for (study, series), each in _first_of(candidates, lambda each: each.series).items():
        attributes = model.series_attributes(each.received.attributes)
        row: dict[str, Any] = {name: getattr(attributes, name) for name in _SERIES_FIELDS}
        rows.append({"study_instance_uid": study, "series_instance_uid": series, **row})
    return rows


def _instance_row(received: ReceivedInstance, series_key: int) -> dict[str, Any]:
    attributes = received.attributes
    return {
        "series_key": series_key,
        "instance_number": model.integer_of(attributes, model.INSTANCE_NUMBER),
        "rows": model.integer_of(attributes, model.ROWS),
        "columns": model.integer_of(attributes, model.COLUMNS),
        "bits_allocated": model.integer_of(attributes, model.BITS_ALLOCATED),
        "number_of_frames": model.integer_of(attributes, model.NUMBER_OF_FRAMES),
        "pixel_data_offset": received.pixel_data_offset,
        "frame_ranges": _store.octets(received.frame_ranges),
        **_blob_row(received),
    }


def _blob_row(received: ReceivedInstance) -> dict[str, Any]:
    attributes = received.attributes
    return {
        "sop_instance_uid": model.text_of(attributes, model.SOP_INSTANCE_UID),
        "sop_class_uid": model.text_of(attributes, model.SOP_CLASS_UID),
        "transfer_syntax_uid": received.transfer_syntax_uid,
        "blob_key": received.blob_key,
        "size_bytes": received.size_bytes,
        "sha256": _store.octets(received.sha256),
        "dataset_offset": received.dataset_offset,
        "received_at": received.received_at,
        "calling_ae_title": received.calling_ae_title,
    }


def _drop_empty(tx: Tx, places: Iterable[_store.Place], new: Sequence[_Candidate]) -> None:
    """Take back series and studies that were made for instances which then were not new."""
    filled = {each.series for each in new}
    idle = [
        each for each in places if (each.study_instance_uid, each.series_instance_uid) not in filled
    ]
    if idle:
        _store.drop_empty_series(tx, sorted(each.series_key for each in idle))
        _store.drop_empty_studies(tx, sorted({each.study_key for each in idle}))


def _supplement(
    tx: Tx, places: Mapping[SeriesId, _store.Place], new: Sequence[_Candidate]
) -> dict[str, list[str]]:
    """Per study the names in which new instances disagree with what is known of it.

    A study keeps the values of its first instance, and takes those that it lacked from later ones.
    """
    by_study = {place.study_instance_uid: place for place in places.values()}
    changed: dict[str, tuple[StudyAttributes, dict[str, list[str]]]] = {}
    contradicted: dict[str, list[str]] = {}
    seen: set[tuple[str, StudyAttributes]] = set()
    for each in new:
        uid = each.identity.study_instance_uid
        if (uid, each.study) in seen:
            continue
        seen.add((uid, each.study))
        place = by_study[uid]
        known, noted = changed.get(uid, (_known_attributes(place), place.disagreements))
        merged, against = _compared(known, each.study, noted)
        if merged != known or against != noted:
            contradicted[uid] = sorted(
                name for name in against if against[name] != place.disagreements.get(name)
            )
            changed[uid] = merged, against
    if changed:
        rows = [
            {"study_key": by_study[uid].study_key, "disagreements": against, **_study_row(merged)}
            for uid, (merged, against) in changed.items()
        ]
        _store.supplement(tx, rows)
    return contradicted


def _known_attributes(place: _store.Place) -> StudyAttributes:
    return StudyAttributes(*(getattr(place, name) for name in _STUDY_FIELDS))


def _compared(
    known: StudyAttributes, said: StudyAttributes, noted: Mapping[str, list[str]]
) -> tuple[StudyAttributes, dict[str, list[str]]]:
    merged: dict[str, Any] = {}
    against = {name: list(values) for name, values in noted.items()}
    for name in _STUDY_FIELDS:
        before, value = getattr(known, name), getattr(said, name)
        merged[name] = value if before is None else before
        if name in model.IDENTIFYING and None not in {before, value} and before != value:
            against[name] = sorted({*against.get(name, []), str(value)})
    return StudyAttributes(**merged), against


def _announce(
    tx: Tx,
    actor: Actor,
    places: Mapping[SeriesId, _store.Place],
    new: Sequence[_Candidate],
    disagreements: Mapping[str, list[str]],
    now: datetime,
) -> None:
    counts: dict[SeriesId, int] = {}
    for each in new:
        counts[each.series] = counts.get(each.series, 0) + 1
    firsts = _first_of(new, lambda each: each.series)
    entries: dict[str, AuditEntry] = {}
    for series in sorted(counts):
        place = places[series]
        study_uid, series_uid = series
        event = InstancesAdmitted(
            study_instance_uid=study_uid,
            series_instance_uid=series_uid,
            modality=model.text_of(firsts[series].received.attributes, model.MODALITY) or "",
            count=counts[series],
            first=place.number_of_instances == 0,
            reopened=place.completed_at is not None,
            disagreements=disagreements.get(study_uid, []),
        )
        outbox.append(tx, event, now=now)
        if study_uid not in entries:
            entries[study_uid] = _audit_entry(actor, study_uid, firsts[series], counts)
    if entries:
        record_many(tx, list(entries.values()), now=now)


def _audit_entry(
    actor: Actor, study_uid: str, first: _Candidate, counts: Mapping[SeriesId, int]
) -> AuditEntry:
    return AuditEntry(
        action="study.store",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=study_uid,
        patient_id=first.study.patient_id,
        detail={"instances": sum(n for (uid, _), n in counts.items() if uid == study_uid)},
    )


def _settle_known(
    tx: Tx,
    entries: Sequence[tuple[int, _Candidate]],
    admissions: list[Admission | None],
    now: datetime,
) -> None:
    """Tell repetitions from conflicts; keep the bytes of the latter beside the first."""
    if not entries:
        return
    uids = sorted({each.identity.sop_instance_uid for _, each in entries})
    known = {each.sop_instance_uid: each for each in _store.known(tx, uids)}
    if len(known) < len(uids):
        _keep_awaited(tx, [each for _, each in entries], known)
    conflicts: list[tuple[int, _Candidate]] = []
    for index, each in entries:
        uid = each.identity.sop_instance_uid
        if known[uid].blob_key == each.received.blob_key:
            # A transaction that was repeated, because its outcome was not known, had happened.
            admissions[index] = Admission(uid, Outcome.STORED)
        elif known[uid].sha256 == each.received.sha256:
            admissions[index] = Admission(uid, Outcome.DUPLICATE)
        else:
            conflicts.append((index, each))
    if not conflicts:
        return
    kept = _store.keep_conflicts(tx, [_conflict_row(each, known) for _, each in conflicts])
    for index, each in conflicts:
        uid = each.identity.sop_instance_uid
        if each.received.blob_key in kept:
            admissions[index] = Admission(uid, Outcome.CONFLICTING)
            event = ConflictingInstanceKept(known[uid].study_instance_uid, uid)
            outbox.append(tx, event, now=now)
        else:  # these bytes were kept beside the first ones before
            admissions[index] = Admission(uid, Outcome.DUPLICATE)


def _keep_awaited(tx: Tx, candidates: Sequence[_Candidate], known: dict[str, _store.Known]) -> None:
    """Keep instances that were rejected before they came, and add them to what is known."""
    coming = {
        each.identity.sop_instance_uid: each
        for each in reversed(candidates)
        if each.identity.sop_instance_uid not in known
    }
    rejection_of = _rejections.awaited(tx, sorted(coming))
    rows: list[dict[str, Any]] = []
    for uid, each in coming.items():
        study = each.identity.study_instance_uid
        known[uid] = _store.Known(uid, each.received.blob_key, each.received.sha256, study)
        rows.append({**_conflict_row(each, known), "rejection_key": rejection_of[uid]})
        _rejections.count(tx, rejection_of[uid], instances=1, awaited=-1)
    _store.keep_conflicts(tx, rows)
    _rejections.await_no_more(tx, sorted(coming))


def _conflict_row(candidate: _Candidate, known: Mapping[str, _store.Known]) -> dict[str, Any]:
    identity = candidate.identity
    return {
        "sop_instance_uid": identity.sop_instance_uid,
        "study_instance_uid": known[identity.sop_instance_uid].study_instance_uid,
        "asserted_study_instance_uid": identity.study_instance_uid,
        "asserted_series_instance_uid": identity.series_instance_uid,
        **_blob_row(candidate.received),
    }
