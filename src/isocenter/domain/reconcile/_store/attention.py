"""The SQL of who looks after a study, until when it rests, and whose a person said that it is."""

from datetime import datetime

from isocenter.infra.db import Tx

_OWN = """
insert into reconcile.attention as known (study_instance_uid, owner, owned_at)
values (%(study)s, %(owner)s, %(now)s)
on conflict (study_instance_uid) do update
   set owner = excluded.owner, owned_at = excluded.owned_at
"""
_HOLD = """
insert into reconcile.attention as known (study_instance_uid, held_until, held_by, hold_reason)
values (%(study)s, %(until)s, %(by)s, %(reason)s)
on conflict (study_instance_uid) do update
   set held_until = excluded.held_until, held_by = excluded.held_by,
       hold_reason = excluded.hold_reason
"""


def own(tx: Tx, study_instance_uid: str, owner: str | None, *, now: datetime) -> None:
    """Keep who looks after the study; None: nobody."""
    tx.run(_OWN, {"study": study_instance_uid, "owner": owner, "now": now if owner else None})


def hold(
    tx: Tx, study_instance_uid: str, until: datetime | None, *, by: str | None, reason: str | None
) -> None:
    """Keep until when the study rests; None: no longer."""
    params = {"study": study_instance_uid, "until": until, "by": by, "reason": reason}
    tx.run(_HOLD, params)


_CHOOSE = """
insert into reconcile.patient_choice (study_instance_uid, patient_key, reason, chosen_at, chosen_by)
values (%(study)s, %(patient_key)s, %(reason)s, %(now)s, %(by)s)
on conflict (study_instance_uid) do update
   set patient_key = excluded.patient_key, reason = excluded.reason,
       chosen_at = excluded.chosen_at, chosen_by = excluded.chosen_by
"""
_CHOSEN = "select patient_key from reconcile.patient_choice where study_instance_uid = %s"
_FORGET = """
delete from reconcile.patient_choice where study_instance_uid = %s returning patient_key
"""
# By arrays, so that no plan visits every patient: while few were chosen, joins may.
_STUDIES_CHOSEN_FOR = """
with person as materialized (
    select array_agg(coalesce(survivor_key, patient_key)) as keys
      from identity.patient where patient_key = any(%s)
)
select study_instance_uid from reconcile.patient_choice
 where patient_key = any(array(
       select patient_key from identity.patient
        where patient_key = any((select keys from person)::bigint[])
        union all
       select patient_key from identity.patient
        where survivor_key = any((select keys from person)::bigint[])))
"""


def choose_patient(
    tx: Tx, study_instance_uid: str, patient_key: int, *, reason: str, by: str, now: datetime
) -> None:
    """Keep whose images these are."""
    params = {
        "study": study_instance_uid,
        "patient_key": patient_key,
        "reason": reason,
        "by": by,
        "now": now,
    }
    tx.run(_CHOOSE, params)


def chosen_patient(tx: Tx, study_instance_uid: str) -> int | None:
    """Whose images a person said that these are."""
    return tx.value(_CHOSEN, (study_instance_uid,))


def forget_patient(tx: Tx, study_instance_uid: str) -> bool:
    """Go by what the images say again; False when nobody had said anything else."""
    return tx.value(_FORGET, (study_instance_uid,)) is not None


def studies_chosen_for(tx: Tx, patient_keys: list[int]) -> list[str]:
    """Studies of which a person said that they are of one of these patients."""
    return tx.values(_STUDIES_CHOSEN_FOR, (patient_keys,))
