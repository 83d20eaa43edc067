"""The SQL of who holds a study already."""

from dataclasses import dataclass

from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class Held:
    """What a peer was sent of a study by a route."""

    recipient: str
    kind: str
    route_name: str
    urgency: int
    transfer_syntax_uid: str | None
    series_instance_uids: list[str]


_HOLDERS = """
select recipient, kind, route_name, min(urgency)::int as urgency,
       max(transfer_syntax_uid) as transfer_syntax_uid,
       array(select distinct series
               from distribution.transfer as own
              cross join lateral unnest(own.series_instance_uids) as series
              where own.study_instance_uid = %(study)s and own.recipient = transfer.recipient
                and own.kind = transfer.kind and own.route_name = transfer.route_name
              order by 1) as series_instance_uids
  from distribution.transfer
 where study_instance_uid = %(study)s and kind in ('images', 'availability')
   and (sent_at is not null or acknowledged_at is not null)
 group by recipient, kind, route_name
 order by recipient, kind desc, route_name
"""
_WAITS = """
select exists (
    select from distribution.transfer
     where study_instance_uid = %(study)s and recipient = %(recipient)s and kind = %(kind)s
       and route_name = %(route)s and state = 'queued' and attempts = 0 and after_key = 0)
"""


def holders(tx: Tx, study_instance_uid: str) -> list[Held]:
    """Who was sent something of the study: images before the notifications about them."""
    return tx.all(Held, _HOLDERS, {"study": study_instance_uid})


def waits(tx: Tx, held: Held, study_instance_uid: str) -> bool:
    """Whether all of it is queued for the peer and nobody has begun with it."""
    params = {
        "study": study_instance_uid,
        "recipient": held.recipient,
        "kind": held.kind,
        "route": held.route_name,
    }
    return bool(tx.value(_WAITS, params))
