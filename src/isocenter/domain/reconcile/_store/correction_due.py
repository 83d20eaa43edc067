"""The SQL of studies that were matched before corrections were kept."""

from isocenter.infra.db import Tx

_TAKE = """
delete from reconcile.correction_due
 where study_instance_uid in (
       select study_instance_uid from reconcile.correction_due
        order by study_instance_uid limit %s for update skip locked)
returning study_instance_uid
"""


def take(tx: Tx, *, limit: int) -> list[str]:
    """Some of the studies, which are due no more when the transaction is committed."""
    return tx.values(_TAKE, (limit,))
