"""The SQL of links between records and of identifiers that changed hands."""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.identity.model import IdentifierChange, Link, LinkGround, PatientIdentifier
from isocenter.infra.db import Tx


def lock_records(tx: Tx, patient_keys: Sequence[int]) -> list[int]:
    """The records that exist, locked in order of their keys."""
    return tx.values(
        """
        select patient_key from identity.patient
         where patient_key = any(%s) order by patient_key for no key update
        """,
        (list(patient_keys),),
    )


def link_between(tx: Tx, one_key: int, other_key: int) -> Link | None:
    """The link of two records, undone or not."""
    return tx.maybe(
        Link,
        """
        select link_key, one_key, other_key, origin, reason, asserted_at, linked_at, undone_at,
               actor
          from identity.link where one_key = %s and other_key = %s
        """,
        (one_key, other_key),
    )


def upsert_link(
    tx: Tx,
    keys: tuple[int, int],
    ground: LinkGround,
    *,
    actor: str,
    now: datetime,
) -> Link:
    """Keep the assertion. One that was undone revives only by an assertion after the undoing."""
    return tx.one(
        Link,
        """
        insert into identity.link
               (one_key, other_key, origin, reason, asserted_at, linked_at, actor)
        values (%(one)s, %(other)s, %(origin)s, %(reason)s, %(asserted_at)s, %(now)s, %(actor)s)
            on conflict (one_key, other_key) do update
           set asserted_at = greatest(link.asserted_at, excluded.asserted_at),
               origin = case when excluded.asserted_at > link.undone_at then excluded.origin
                             else link.origin end,
               reason = case when excluded.asserted_at > link.undone_at then excluded.reason
                             else link.reason end,
               actor = case when excluded.asserted_at > link.undone_at then excluded.actor
                            else link.actor end,
               undone_at = case when excluded.asserted_at > link.undone_at then null
                                else link.undone_at end
        returning link_key, one_key, other_key, origin, reason, asserted_at, linked_at, undone_at,
                  actor
        """,
        {
            "one": keys[0],
            "other": keys[1],
            "origin": ground.origin,
            "reason": ground.reason,
            "asserted_at": min(ground.asserted_at or now, now),
            "now": now,
            "actor": actor,
        },
    )


def undo_link(tx: Tx, link_key: int, now: datetime) -> Link | None:
    """The link that is now undone; None when there is none to undo."""
    return tx.maybe(
        Link,
        """
        update identity.link set undone_at = %s
         where link_key = %s and undone_at is null
        returning link_key, one_key, other_key, origin, reason, asserted_at, linked_at, undone_at,
                  actor
        """,
        (now, link_key),
    )


def links_of(tx: Tx, patient_key: int) -> list[Link]:
    """The links of every record of one person."""
    return tx.all(
        Link,
        """
        with own as (
            select record.patient_key
              from identity.patient named
              join identity.patient record
                on coalesce(record.survivor_key, record.patient_key)
                 = coalesce(named.survivor_key, named.patient_key)
             where named.patient_key = %s
               and (record.patient_key = coalesce(named.survivor_key, named.patient_key)
                    or record.survivor_key = coalesce(named.survivor_key, named.patient_key))
        )
        select link_key, one_key, other_key, origin, reason, asserted_at, linked_at, undone_at,
               actor
          from identity.link
         where one_key in (select patient_key from own)
            or other_key in (select patient_key from own)
         order by link_key
        """,
        (patient_key,),
    )


def linked_keys(tx: Tx, patient_key: int) -> list[int]:
    """The surviving rows that links and merges connect with a patient, its own among them."""
    return tx.values(
        """
        with recursive person (patient_key) as (
            select coalesce(survivor_key, patient_key)
              from identity.patient where patient_key = %s
             union
            select coalesce(met.survivor_key, met.patient_key)
              from person
              join identity.patient record
                on record.patient_key = person.patient_key
                or record.survivor_key = person.patient_key
              join identity.link
                on link.undone_at is null
               and record.patient_key in (link.one_key, link.other_key)
              join identity.patient met
                on met.patient_key = case when link.one_key = record.patient_key
                                          then link.other_key else link.one_key end
        )
        select patient_key from person order by patient_key
        """,
        (patient_key,),
    )


def identifiers_of(tx: Tx, patient_key: int) -> list[str]:
    """The values of a record's own identifiers."""
    return tx.values(
        "select value from identity.patient_identifier where patient_key = %s order by value",
        (patient_key,),
    )


def own_identifiers(tx: Tx, patient_key: int) -> list[PatientIdentifier]:
    """A record's own identifiers, the one to show first."""
    return tx.all(
        PatientIdentifier,
        """
        select value, assigning_authority, type_code from identity.patient_identifier
         where patient_key = %s
         order by retired_at is not null, type_code <> 'MR', assigning_authority = '',
                  assigning_authority, value
        """,
        (patient_key,),
    )


def is_retired(tx: Tx, identifier: PatientIdentifier) -> bool:
    """Whether another identifier took its place."""
    return bool(
        tx.value(
            """
            select retired_at is not null from identity.patient_identifier
             where assigning_authority = %s and value = %s
            """,
            (identifier.assigning_authority, identifier.value),
        )
    )


def set_retired(tx: Tx, identifier: PatientIdentifier, retired_at: datetime | None) -> None:
    """Note that another identifier took its place, or that it did not."""
    tx.run(
        """
        update identity.patient_identifier set retired_at = %s
         where assigning_authority = %s and value = %s
        """,
        (retired_at, identifier.assigning_authority, identifier.value),
    )


def set_owner(tx: Tx, identifier: PatientIdentifier, patient_key: int) -> None:
    """Let the identifier name this record."""
    tx.run(
        """
        update identity.patient_identifier set patient_key = %s
         where assigning_authority = %s and value = %s
        """,
        (patient_key, identifier.assigning_authority, identifier.value),
    )


def insert_change(
    tx: Tx,
    identifier: PatientIdentifier,
    keys: tuple[int, int],
    times: tuple[datetime, datetime],
    *,
    actor: str,
) -> None:
    """Keep that an identifier went from one record to another. ``times``: asserted, and now."""
    tx.run(
        """
        insert into identity.identifier_change
               (assigning_authority, value, from_key, to_key, asserted_at, changed_at, actor)
        values (%s, %s, %s, %s, %s, %s, %s)
        """,
        (identifier.assigning_authority, identifier.value, *keys, *times, actor),
    )


def undo_change(tx: Tx, change_key: int, now: datetime) -> IdentifierChange | None:
    """The change that is now undone; None when there is none, or a later one stands on it."""
    return tx.maybe(
        IdentifierChange,
        """
        update identity.identifier_change undone set undone_at = %s
         where change_key = %s and undone_at is null
           and not exists (
               select from identity.identifier_change later
                where later.assigning_authority = undone.assigning_authority
                  and later.value = undone.value and later.undone_at is null
                  and later.change_key > undone.change_key)
        returning change_key, assigning_authority, value, from_key, to_key, asserted_at, changed_at,
                  undone_at, actor
        """,
        (now, change_key),
    )


def changes_of(tx: Tx, patient_key: int) -> list[IdentifierChange]:
    """The changes that took identifiers from a record or gave it some, oldest first."""
    return tx.all(
        IdentifierChange,
        """
        select change_key, assigning_authority, value, from_key, to_key, asserted_at, changed_at,
               undone_at, actor
          from identity.identifier_change
         where %s in (from_key, to_key)
         order by change_key
        """,
        (patient_key,),
    )
