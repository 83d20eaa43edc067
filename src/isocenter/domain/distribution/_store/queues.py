"""The SQL that shows what is on its way, of whatever kind."""

from collections.abc import Mapping
from typing import Final, LiteralString

from isocenter.domain.distribution.model import Delivery, Destination, Page
from isocenter.infra.db import Tx

# Each branch is limited on its own, so that neither is read whole for its newest rows. A state is
# named in the statement: only so the index of what did not arrive is used.
_FIRST = """
(select delivery_key, kind, subject, occasion, report_id, version,
        null as study_instance_uid, null as route_name, accession_number, recipient, state,
        attempts, due_at, control_id,
        queued_at, sent_at, acknowledged_at, refused_at, failing_since, last_error,
        null::int as instances, null::int as instances_sent, null::int as instances_failed,
        null as commitment, null as commitment_error
   from distribution.delivery
  where (%(accession_number)s::text is null or accession_number = %(accession_number)s)
    and (%(before)s::bigint is null or delivery_key < %(before)s)
    and %(study)s::text is null
"""
_SECOND = """
  order by delivery_key desc
  limit %(limit)s)
union all
(select delivery_key, kind, '' as subject, '' as occasion, null as report_id,
        null as version, study_instance_uid, route_name,
        accession_number, recipient, state, attempts, due_at, null as control_id, queued_at,
        sent_at, acknowledged_at, refused_at, failing_since, last_error, instances,
        instances_sent, instances_failed, commitment, commitment_error
   from distribution.transfer
  where (%(accession_number)s::text is null or accession_number = %(accession_number)s)
    and (%(before)s::bigint is null or delivery_key < %(before)s)
    and (%(study)s::text is null or study_instance_uid = %(study)s)
"""
_THIRD = """
  order by delivery_key desc
  limit %(limit)s)
order by delivery_key desc
limit %(limit)s
"""


_OF_STATE: Final[Mapping[str | None, LiteralString]] = {
    None: "",
    "queued": " and state = 'queued'",
    "sent": " and state = 'sent'",
    "acknowledged": " and state = 'acknowledged'",
    "refused": " and state = 'refused'",
}


def deliveries(
    tx: Tx,
    *,
    accession_number: str | None,
    state: str | None,
    study_instance_uid: str | None,
    page: Page,
) -> list[Delivery]:
    """Deliveries, newest first."""
    of_state = _OF_STATE[state]
    statement = "".join((_FIRST, of_state, _SECOND, of_state, _THIRD))
    params = {
        "accession_number": accession_number,
        "study": study_instance_uid,
        "before": page.before,
        "limit": page.limit,
    }
    return tx.all(Delivery, statement, params)


_DESTINATIONS = """
select 'hl7' as protocol, destination.recipient, paused_at, paused_by, pause_reason,
       queue.waiting, queue.refused, queue.oldest_queued_at, queue.failing_since, head.last_error,
       destination.due_at, destination.fault_at, queue.quarantined
  from distribution.destination
  cross join lateral (
       select count(*) filter (where state in ('queued', 'sent')) as waiting,
              count(*) filter (where state = 'refused') as refused,
              count(distinct lane) filter (where quarantined_at is not null) as quarantined,
              min(queued_at) filter (where state in ('queued', 'sent')) as oldest_queued_at,
              min(failing_since) filter (where state in ('queued', 'sent')) as failing_since
         from distribution.delivery
        where delivery.recipient = destination.recipient
          and state in ('queued', 'sent', 'refused')) queue
  left join lateral (
       select last_error from distribution.delivery
        where delivery.recipient = destination.recipient and state in ('queued', 'sent')
          and failing_since = queue.failing_since
        order by delivery_key limit 1) head on true
union all
select 'dicom' as protocol, destination.recipient, paused_at, paused_by, pause_reason,
       (select count(*) from distribution.transfer
         where transfer.recipient = destination.recipient
           and state in ('queued', 'sent')) as waiting,
       (select count(*) from distribution.transfer
         where transfer.recipient = destination.recipient and state = 'refused') as refused,
       (select min(queued_at) from distribution.transfer
         where transfer.recipient = destination.recipient
           and state in ('queued', 'sent')) as oldest_queued_at,
       head.failing_since, head.last_error, null, null, 0
  from distribution.image_destination as destination
  left join lateral (
       select failing_since, last_error from distribution.transfer
        where transfer.recipient = destination.recipient and state in ('queued', 'sent')
        order by urgency, delivery_key limit 1) head on true
 order by recipient, protocol
"""


def destinations(tx: Tx) -> list[Destination]:
    """All recipients with the state of their lanes."""
    return tx.all(Destination, _DESTINATIONS)


_IS_TRANSFER = "select exists (select from distribution.transfer where delivery_key = %s)"


def is_transfer(tx: Tx, delivery_key: int) -> bool:
    """Whether the delivery is one of images, or of word of them."""
    return bool(tx.value(_IS_TRANSFER, (delivery_key,)))
