"""The SQL of reports that say who a patient was before a merge."""

from collections.abc import Sequence

from isocenter.infra.db import Tx

# The newest version that a recipient has of each report; what waits says the right name anyway.
_REPORTS_OF = """
select newest.delivery_key
  from (select distinct on (delivery.report_id, delivery.recipient) delivery.delivery_key,
               delivery.state, delivery.recipient
          from distribution.delivery
          join orders.imaging_order using (accession_number)
         where delivery.report_id is not null and patient_key = any(%(patients)s)
         order by delivery.report_id, delivery.recipient, delivery.version desc,
                  delivery.delivery_key desc) newest
  join distribution.destination using (recipient)
 where newest.state = 'acknowledged' and told_of_merges
   and not newest.recipient = any(%(not_to)s)
 order by newest.delivery_key
 limit %(limit)s
"""
_SWITCH = """
insert into distribution.destination (recipient, told_of_merges) values (%(recipient)s, %(told)s)
on conflict (recipient) do update set told_of_merges = excluded.told_of_merges
"""
_NOT_TOLD = "select recipient from distribution.destination where not told_of_merges order by 1"


def reports_of(
    tx: Tx, patient_keys: Sequence[int], *, not_to: Sequence[str], limit: int
) -> list[int]:
    """Keys of the deliveries by which recipients have reports about these patients' exams."""
    params = {"patients": list(patient_keys), "not_to": list(not_to), "limit": limit}
    return tx.values(_REPORTS_OF, params)


def switch(tx: Tx, recipient: str, *, told: bool) -> None:
    """Keep whether the recipient gets reports again."""
    tx.run(_SWITCH, {"recipient": recipient, "told": told})


def not_told(tx: Tx) -> list[str]:
    """Recipients that do not get reports again."""
    return tx.values(_NOT_TOLD)
