"""The tables of the reading stage."""

from datetime import datetime

from isocenter.domain.reading.model import (
    SEGMENT_TOOL,
    ArchivedObject,
    ArchivingRequest,
    DrawnMeasurement,
    Measurement,
    Preference,
)
from isocenter.infra.db import Tx, jsonb

_LOCK = "select pg_advisory_xact_lock(hashtextextended('reading.measurement/' || %s, 0))"


def lock(tx: Tx, study_instance_uid: str) -> None:
    """Let nobody else change the study's measurements until this transaction ends."""
    tx.value(_LOCK, (study_instance_uid,))


_STUDY_OF = "select study_instance_uid from reading.measurement where measurement_id = %s"


def study_of(tx: Tx, measurement_id: str) -> str | None:
    """The study that the measurement belongs to, if it is known."""
    return tx.value(_STUDY_OF, (measurement_id,))


_COUNT = """
select count(*) from reading.measurement
 where study_instance_uid = %(study)s and (tool = %(segment)s) = (%(tool)s = %(segment)s)
"""


def count(tx: Tx, study_instance_uid: str, tool: str) -> int:
    """How many painted images the study has, if ``tool`` paints; else how many measurements."""
    return tx.value(_COUNT, {"study": study_instance_uid, "tool": tool, "segment": SEGMENT_TOOL})


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


_SITE_PREFERENCE = """
select name, value from reading.site_preference where name = %s
"""


def site_preference(tx: Tx, name: str) -> Preference | None:
    """What the department chose under a name."""
    return tx.maybe(Preference, _SITE_PREFERENCE, (name,))


_PREFER_FOR_SITE = """
insert into reading.site_preference (name, value, updated_by, updated_at)
values (%(name)s, %(value)s, %(by)s, %(now)s)
on conflict (name) do update
   set value = excluded.value, updated_by = excluded.updated_by, updated_at = excluded.updated_at
"""


def prefer_for_site(tx: Tx, by: str, chosen: Preference, *, now: datetime) -> None:
    """Keep what the department chose, over what was chosen before."""
    params = {"name": chosen.name, "value": jsonb(chosen.value), "by": by, "now": now}
    tx.run(_PREFER_FOR_SITE, params)


_REQUEST = """
insert into reading.archiving (study_instance_uid, requested_by, author, requested_at)
values (%(study)s, %(by)s, %(author)s, %(now)s)
on conflict (study_instance_uid) do update
   set requested_by = excluded.requested_by, author = excluded.author,
       requested_at = excluded.requested_at, done_at = null, failure = ''
"""


def request(tx: Tx, study_instance_uid: str, *, by: str, author: str, now: datetime) -> None:
    """Note that the study's findings are to be written."""
    tx.run(_REQUEST, {"study": study_instance_uid, "by": by, "author": author, "now": now})


_REQUESTED = """
select requested_by, author, requested_at, done_at, failure
  from reading.archiving where study_instance_uid = %s
"""


def requested(tx: Tx, study_instance_uid: str) -> ArchivingRequest | None:
    """The study's latest request."""
    return tx.maybe(ArchivingRequest, _REQUESTED, (study_instance_uid,))


_FINISH = """
update reading.archiving set done_at = %(now)s, failure = %(failure)s
 where study_instance_uid = %(study)s
"""


def finish(tx: Tx, study_instance_uid: str, failure: str, *, now: datetime) -> None:
    """Note that the study's request is done with, and what could not be written."""
    tx.run(_FINISH, {"study": study_instance_uid, "failure": failure, "now": now})


_RECORD_WRITTEN = """
insert into reading.archived_object (sop_instance_uid, study_instance_uid, series_instance_uid,
    sop_class_uid, kind, subject, digest, instance_number, written_at)
values (%(sop_instance_uid)s, %(study_instance_uid)s, %(series_instance_uid)s, %(sop_class_uid)s,
    %(kind)s, %(subject)s, %(digest)s, %(instance_number)s, %(written_at)s)
on conflict (sop_instance_uid) do nothing
"""


def record_written(tx: Tx, made: ArchivedObject) -> None:
    """Remember the object."""
    tx.run(_RECORD_WRITTEN, {name: getattr(made, name) for name in ArchivedObject.__slots__})


_WRITTEN = """
select study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, kind, subject,
       digest, instance_number, written_at
  from reading.archived_object where study_instance_uid = %s
 order by kind, instance_number
"""


def written(tx: Tx, study_instance_uid: str) -> list[ArchivedObject]:
    """The objects that were written from the study's findings, the earliest of a kind first."""
    return tx.all(ArchivedObject, _WRITTEN, (study_instance_uid,))


_MEASURED = """
select distinct study_instance_uid
  from reading.measurement join reconcile.link using (study_instance_uid)
 where link.accession_number = %s order by 1
"""


def measured_studies(tx: Tx, accession_number: str) -> list[str]:
    """The studies of an exam in which something was measured."""
    return tx.values(_MEASURED, (accession_number,))
