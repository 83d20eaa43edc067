"""The SQL of what goes on beside the messages: sequence numbers, acknowledgements that wait."""

from dataclasses import asdict, dataclass
from datetime import datetime

from isocenter.infra.db import Tx
from isocenter.standards.hl7v2.sequence import Sent


@dataclass(frozen=True, slots=True)
class WaitingAcknowledgement:
    """An application acknowledgement that is to go out. Attributes: attempts: this one included."""

    acknowledgement_key: int
    peer: str
    control_id: str
    message: bytes
    attempts: int


def last_sequence_number(tx: Tx, peer: str, now: datetime) -> int | None:
    """The number of the last message that was taken, locked; None when it is not known."""
    number = tx.value(
        """
        insert into peers.sequence_number as known (peer, number, updated_at)
        values (%(peer)s, -1, %(now)s)
            on conflict (peer) do update set updated_at = excluded.updated_at
        returning number
        """,
        {"peer": peer, "now": now},
    )
    return None if number is None or number < 0 else number


def set_sequence_number(tx: Tx, peer: str, number: int | None, now: datetime) -> None:
    """Remember the number of the last message that was taken."""
    tx.run(
        "update peers.sequence_number set number = %s, updated_at = %s where peer = %s",
        (-1 if number is None else number, now, peer),
    )


def sent_sequence(tx: Tx, peer: str) -> Sent:
    """Where the sequence of our messages to a peer is."""
    found = tx.maybe(
        Sent,
        "select accepted, under_way, is_frozen from peers.sent_sequence where peer = %s",
        (peer,),
    )
    return found or Sent()


def keep_sent_sequence(tx: Tx, peer: str, sent: Sent, now: datetime) -> None:
    """Remember where the sequence of our messages to a peer is."""
    tx.run(
        """
        insert into peers.sent_sequence (peer, accepted, under_way, is_frozen, updated_at)
        values (%(peer)s, %(accepted)s, %(under_way)s, %(is_frozen)s, %(now)s)
            on conflict (peer) do update
           set accepted = excluded.accepted, under_way = excluded.under_way,
               is_frozen = excluded.is_frozen, updated_at = excluded.updated_at
        """,
        {**asdict(sent), "peer": peer, "now": now},
    )


def queue_acknowledgement(
    tx: Tx, peer: str, control_id: str, message: bytes, now: datetime
) -> None:
    """Have an application acknowledgement sent."""
    tx.run(
        """
        insert into peers.application_acknowledgement
               (peer, control_id, message, due_at, created_at)
        values (%(peer)s, %(control_id)s, %(message)s, %(now)s, %(now)s)
        """,
        {"peer": peer, "control_id": control_id, "message": message, "now": now},
    )


def claim_acknowledgement(tx: Tx, now: datetime, until: datetime) -> WaitingAcknowledgement | None:
    """The oldest acknowledgement that is due and the first of its peer's; nobody else's until then.

    Those of a peer go one after the other: one that is claimed holds back those behind it.
    """
    return tx.maybe(
        WaitingAcknowledgement,
        """
        update peers.application_acknowledgement
           set due_at = %(until)s, attempts = attempts + 1
         where acknowledgement_key = (
               select acknowledgement_key
                 from peers.application_acknowledgement due
                where sent_at is null and given_up_at is null and due_at <= %(now)s
                  and not exists (
                      select from peers.application_acknowledgement earlier
                       where earlier.peer = due.peer
                         and earlier.sent_at is null and earlier.given_up_at is null
                         and earlier.acknowledgement_key < due.acknowledgement_key)
                order by due_at, acknowledgement_key
                  for update skip locked limit 1)
        returning acknowledgement_key, peer, control_id, message, attempts
        """,
        {"now": now, "until": until},
    )


def settle_acknowledgement(
    tx: Tx, key: int, error: str | None, due_at: datetime | None, now: datetime
) -> None:
    """Note what became of an attempt: taken without error, given up with one and no next time."""
    tx.run(
        """
        update peers.application_acknowledgement
           set sent_at = case when %(error)s::text is null then %(now)s::timestamptz end,
               given_up_at = case when %(error)s::text is not null
                                   and %(due_at)s::timestamptz is null
                                  then %(now)s::timestamptz end,
               last_error = %(error)s, due_at = coalesce(%(due_at)s, due_at)
         where acknowledgement_key = %(key)s
        """,
        {"key": key, "error": error, "due_at": due_at, "now": now},
    )
