"""Use cases of reading: keep and remove measurements, show them again, remember how one reads.

Everybody who may see a study's images sees what was measured in it; who may write its report may
measure, and remove what a colleague measured: the record says who did.
"""

from datetime import datetime

import msgspec

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive.service import location as archive
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.reading import _store
from isocenter.domain.reading.model import (
    CONTENT_BYTES_MAX,
    LABEL_LENGTH_MAX,
    MEASUREMENTS_MAX,
    PREFERENCE_NAME_LENGTH_MAX,
    PREFERENCES_MAX,
    SEGMENT_TOOL,
    SEGMENTED_IMAGES_MAX,
    DrawnMeasurement,
    Measurement,
    MeasurementOfAnotherStudy,
    MeasurementTooLarge,
    Preference,
    PreferenceTooLarge,
    TooManyMeasurements,
)
from isocenter.infra.db import Tx


def measurements(tx: Tx, viewer: Viewer, study_instance_uid: str) -> list[Measurement]:
    """What was measured in the study, in the order it was made. Raises ``UnknownStudy``."""
    archive.study(tx, viewer, study_instance_uid)
    return _store.measurements(tx, study_instance_uid)


def keep_measurement(
    tx: Tx,
    actor: Actor,
    study_instance_uid: str,
    measurement_id: str,
    drawn: DrawnMeasurement,
    *,
    now: datetime,
) -> None:
    """Keep the measurement under its identifier; the same again changes nothing but its time.

    Raises ``UnknownStudy``, ``MeasurementTooLarge``, ``MeasurementOfAnotherStudy``,
    ``TooManyMeasurements``.
    """
    authorize(actor, Action.REPORT_WRITE)
    archive.study(tx, Viewer.of(actor, Action.STUDY_READ), study_instance_uid)
    if len(drawn.label) > LABEL_LENGTH_MAX or _size_bytes(drawn.content) > CONTENT_BYTES_MAX:
        raise MeasurementTooLarge(
            f"a measurement has at most {CONTENT_BYTES_MAX} bytes "
            f"and a label of {LABEL_LENGTH_MAX} characters"
        )
    _store.lock(tx, study_instance_uid)
    known = _store.study_of(tx, measurement_id)
    most = SEGMENTED_IMAGES_MAX if drawn.tool == SEGMENT_TOOL else MEASUREMENTS_MAX
    if known is None and _store.count(tx, study_instance_uid, drawn.tool) >= most:
        raise TooManyMeasurements(f"a study has at most {most} of these")
    if known not in {None, study_instance_uid}:
        raise MeasurementOfAnotherStudy("the identifier belongs to another study's measurement")
    _store.keep(tx, study_instance_uid, measurement_id, drawn, author=actor.name, now=now)
    _audit(tx, actor, "measurement.keep", study_instance_uid, measurement_id, now=now)


def remove_measurement(
    tx: Tx, actor: Actor, study_instance_uid: str, measurement_id: str, *, now: datetime
) -> None:
    """Remove the measurement; one that is gone already stays so."""
    authorize(actor, Action.REPORT_WRITE)
    _store.lock(tx, study_instance_uid)
    if _store.remove(tx, study_instance_uid, measurement_id):
        _audit(tx, actor, "measurement.remove", study_instance_uid, measurement_id, now=now)


def preferences(tx: Tx, actor: Actor) -> list[Preference]:
    """What the actor chose for the workspace; nothing for an actor who is no user."""
    authorize(actor, Action.STUDY_READ)
    return _store.preferences(tx, actor.user_key) if actor.user_key is not None else []


def prefer(tx: Tx, actor: Actor, chosen: Preference, *, now: datetime) -> None:
    """Remember what the actor chose. Raises ``PreferenceTooLarge``."""
    authorize(actor, Action.STUDY_READ)
    if actor.user_key is None:
        return
    size_bytes = _size_bytes(chosen.value)
    if size_bytes > CONTENT_BYTES_MAX or len(chosen.name) > PREFERENCE_NAME_LENGTH_MAX:
        raise PreferenceTooLarge("the preference is too large")
    known = {each.name for each in _store.preferences(tx, actor.user_key)}
    if chosen.name not in known and len(known) >= PREFERENCES_MAX:
        raise PreferenceTooLarge(f"a user has at most {PREFERENCES_MAX} preferences")
    _store.prefer(tx, actor.user_key, chosen, now=now)


def _size_bytes(value: object) -> int:
    return len(msgspec.json.encode(value))


def _audit(
    tx: Tx,
    actor: Actor,
    action: str,
    study_instance_uid: str,
    measurement_id: str,
    *,
    now: datetime,
) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=study_instance_uid,
        detail={"measurement_id": measurement_id},
    )
    record(tx, entry, now=now)
