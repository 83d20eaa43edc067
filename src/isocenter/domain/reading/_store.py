"""The tables of the reading stage."""

from datetime import datetime

from isocenter.domain.reading.model import DrawnMeasurement, Measurement, Preference
from isocenter.infra.db import Tx, jsonb

_LOCK = "select pg_advisory_xact_lock(hashtextextended('reading.measurement/' || %s, 0))"


def lock(tx: Tx, study_instance_uid: str) -> None:
    """Let nobody else change the study's measurements until this transaction ends."""
    tx.value(_LOCK, (study_instance_uid,))


_STUDY_OF = "select study_instance_uid from reading.measurement where measurement_id = %s"


def study_of(tx: Tx, measurement_id: str) -> str | None:
    """The study that the measurement belongs to, if it is known."""
    return tx.value(_STUDY_OF, (measurement_id,))


_COUNT = "select count(*) from reading.measurement where study_instance_uid = %s"


def count(tx: Tx, study_instance_uid: str) -> int:
    """How many measurements the study has."""
    return tx.value(_COUNT, (study_instance_uid,))


_KEEP = """
insert into reading.measurement (measurement_id, study_instance_uid, series_instance_uid,
    sop_instance_uid, frame_number, tool, label, content, created_by, created_at, updated_by,
    updated_at)
values (%(id)s, %(study)s, %(series)s, %(instance)s, %(frame)s, %(tool)s, %(label)s, %(content)s,
    %(author)s, %(now)s, %(author)s, %(now)s)
on conflict (measurement_id) do update
   set series_instance_uid = excluded.series_instance_uid,
       sop_instance_uid = excluded.sop_instance_uid, frame_number = excluded.frame_number,
       tool = excluded.tool, label = excluded.label, content = excluded.content,
       updated_by = excluded.updated_by, updated_at = excluded.updated_at
"""


def keep(
    tx: Tx,
    study_instance_uid: str,
    measurement_id: str,
    drawn: DrawnMeasurement,
    *,
    author: str,
    now: datetime,
) -> None:
    """Write the measurement, over what was there under its identifier."""
    params = {
        "id": measurement_id,
        "study": study_instance_uid,
        "series": drawn.series_instance_uid,
        "instance": drawn.sop_instance_uid,
        "frame": drawn.frame_number,
        "tool": drawn.tool,
        "label": drawn.label,
        "content": jsonb(drawn.content),
        "author": author,
        "now": now,
    }
    tx.run(_KEEP, params)


_REMOVE = "delete from reading.measurement where measurement_id = %s and study_instance_uid = %s"


def remove(tx: Tx, study_instance_uid: str, measurement_id: str) -> bool:
    """Whether there was such a measurement to remove."""
    return tx.run(_REMOVE, (measurement_id, study_instance_uid)) > 0


_OF_STUDY = """
select measurement_id, study_instance_uid, series_instance_uid, sop_instance_uid, frame_number,
       tool, label, content, created_by, created_at, updated_by, updated_at
  from reading.measurement where study_instance_uid = %s
 order by created_at, measurement_id
"""


def measurements(tx: Tx, study_instance_uid: str) -> list[Measurement]:
    """The study's measurements in the order they were made."""
    return tx.all(Measurement, _OF_STUDY, (study_instance_uid,))


_PREFERENCES = """
select name, value from reading.preference where user_key = %s order by name
"""


def preferences(tx: Tx, user_key: int) -> list[Preference]:
    """What the user chose."""
    return tx.all(Preference, _PREFERENCES, (user_key,))


_PREFER = """
insert into reading.preference (user_key, name, value, updated_at)
values (%(user_key)s, %(name)s, %(value)s, %(now)s)
on conflict (user_key, name) do update
   set value = excluded.value, updated_at = excluded.updated_at
"""


def prefer(tx: Tx, user_key: int, chosen: Preference, *, now: datetime) -> None:
    """Keep what the user chose, over what was chosen before."""
    params = {"user_key": user_key, "name": chosen.name, "value": jsonb(chosen.value), "now": now}
    tx.run(_PREFER, params)
