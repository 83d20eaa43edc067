"""How HL7 interfaces are: last message each way, errors, queue, answer times, odd silence."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceHealth:
    """One HL7 peer.

    Attributes:
        received: messages of the last 24 hours, and ``received_errors`` how many were refused.
        control_ids_reused: messages of the last 24 hours that came under the control id of another.
        waiting: deliveries that it has not acknowledged; the ``oldest_queued_at`` of them.
        parked: deliveries that it refused and nobody replayed.
        quarantined: lanes that wait for a person behind what was refused.
        answer_median_ms: from sending to its acknowledgement, in the last 24 hours.
    """

    peer: str
    enabled: bool
    sends: bool
    receives: bool
    last_in_at: datetime | None
    last_out_at: datetime | None
    received: int
    received_errors: int
    control_ids_reused: int
    sent: int
    sent_errors: int
    waiting: int
    parked: int
    quarantined: int
    oldest_queued_at: datetime | None
    last_error: str | None
    answer_median_ms: float | None
    answer_p95_ms: float | None


_HEALTH = """
select peer.name as peer, peer.enabled, cardinality(peer.receive) > 0 as sends,
       cardinality(peer.send) > 0 as receives, last_in.received_at as last_in_at,
       last_out.received_at as last_out_at,
       coalesce(day.received, 0) as received, coalesce(day.received_errors, 0) as received_errors,
       (select count(*) from peers.message
         where message.peer = peer.name and control_id_reused and received_at >= %(since)s)
           as control_ids_reused,
       coalesce(day.sent, 0) as sent, coalesce(day.sent_errors, 0) as sent_errors,
       coalesce(queue.waiting, 0) as waiting, coalesce(queue.parked, 0) as parked,
       coalesce(queue.quarantined, 0) as quarantined,
       queue.oldest_queued_at, head.last_error,
       answers.median_ms as answer_median_ms, answers.p95_ms as answer_p95_ms
  from peers.hl7_peer as peer
  left join lateral (
       select received_at from peers.message
        where message.peer = peer.name and direction = 'in' and replay_of is null
        order by received_at desc limit 1) as last_in on true
  left join lateral (
       select received_at from peers.message
        where message.peer = peer.name and direction = 'out'
        order by received_at desc limit 1) as last_out on true
  left join lateral (
       select sum(messages) filter (where direction = 'in') as received,
              sum(errors) filter (where direction = 'in') as received_errors,
              sum(messages) filter (where direction = 'out') as sent,
              sum(errors) filter (where direction = 'out') as sent_errors
         from peers.traffic where traffic.peer = peer.name and hour >= %(since)s) as day on true
  left join lateral (
       select count(*) filter (where state in ('queued', 'sent')) as waiting,
              count(*) filter (where state = 'refused') as parked,
              count(distinct lane) filter (where quarantined_at is not null) as quarantined,
              min(queued_at) filter (where state in ('queued', 'sent')) as oldest_queued_at
         from distribution.delivery
        where delivery.recipient = peer.name and state in ('queued', 'sent', 'refused')
       ) as queue on true
  left join lateral (
       select last_error from distribution.delivery
        where delivery.recipient = peer.name and state in ('queued', 'sent')
        order by delivery_key limit 1) as head on true
  left join lateral (
       select (percentile_cont(array[0.5, 0.95]) within group (order by
               extract(epoch from acknowledged_at - sent_at) * 1000))[1] as median_ms,
              (percentile_cont(array[0.5, 0.95]) within group (order by
               extract(epoch from acknowledged_at - sent_at) * 1000))[2] as p95_ms
         from (select sent_at, acknowledged_at from distribution.delivery
                where delivery.recipient = peer.name and state = 'acknowledged'
                  and acknowledged_at >= %(since)s
                order by acknowledged_at desc limit 500) as recent) as answers on true
 order by peer.name
"""


def interfaces(tx: Tx, viewer: Viewer, *, now: datetime) -> list[InterfaceHealth]:
    """All HL7 peers by name."""
    viewer.require(Action.PEER_READ)
    return tx.all(InterfaceHealth, _HEALTH, {"since": now - _DAY})
