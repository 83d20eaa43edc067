"""The SQL of worklist entries. One function is one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.worklist.model import Entry
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class QueriedEntry:
    """An entry that was given to a modality for the first time."""

    step_key: int
    accession_number: str


def publish(tx: Tx, accession_number_of: Mapping[int, str], now: datetime) -> list[int]:
    """Offer steps (key -> accession number); gives those that were not offered before."""
    return tx.values(
        """
        insert into worklist.entry (step_key, accession_number, published_at)
        select step_key, accession_number, %(now)s
          from unnest(%(step_keys)s::bigint[], %(accession_numbers)s::text[])
               as said (step_key, accession_number)
         order by step_key
            on conflict (step_key) do nothing
        returning step_key
        """,
        {
            "step_keys": list(accession_number_of),
            "accession_numbers": list(accession_number_of.values()),
            "now": now,
        },
    )


def withdraw(tx: Tx, step_keys: Sequence[int], accession_number: str, now: datetime) -> list[int]:
    """No longer offer steps; gives those that were offered. One never offered never will be."""
    return tx.values(
        """
        insert into worklist.entry (step_key, accession_number, published_at, withdrawn_at)
        select step_key, %(accession_number)s, %(now)s, %(now)s
          from unnest(%(step_keys)s::bigint[]) as step_key order by step_key
            on conflict (step_key) do update set withdrawn_at = excluded.withdrawn_at
         where entry.withdrawn_at is null
        returning step_key
        """,
        {"step_keys": list(step_keys), "accession_number": accession_number, "now": now},
    )


def offer_again(tx: Tx, step_keys: Sequence[int]) -> list[int]:
    """Offer withdrawn steps again; gives those that were withdrawn."""
    return tx.values(
        """
        update worklist.entry set withdrawn_at = null
         where step_key = any(%s) and withdrawn_at is not null
        returning step_key
        """,
        (sorted(step_keys),),
    )


def count_query(
    tx: Tx, accession_number_of: Mapping[int, str], calling_ae_title: str, now: datetime
) -> list[QueriedEntry]:
    """Note that a modality was given these steps; gives those given for the first time to anyone.

    Entries are locked in order of their keys, so that queries of the same steps queue up.
    """
    return tx.all(
        QueriedEntry,
        """
        with given as (
            insert into worklist.entry
                   (step_key, accession_number, published_at, first_queried_at, last_queried_at,
                    query_count, queried_by)
            select given.step_key, given.accession_number, %(now)s, %(now)s, %(now)s, 1,
                   array[%(ae_title)s::text]
              from unnest(%(step_keys)s::bigint[], %(accession_numbers)s::text[])
                   as given (step_key, accession_number)
             order by given.step_key
                on conflict (step_key) do update
               set first_queried_at = coalesce(entry.first_queried_at, excluded.first_queried_at),
                   last_queried_at = greatest(entry.last_queried_at, excluded.last_queried_at),
                   query_count = entry.query_count + 1,
                   queried_by = case when %(ae_title)s = any(entry.queried_by)
                                     then entry.queried_by
                                     else entry.queried_by || %(ae_title)s::text end
            returning step_key, accession_number, query_count
        )
        select step_key, accession_number from given where query_count = 1
         order by accession_number, step_key
        """,
        {
            "step_keys": list(accession_number_of),
            "accession_numbers": list(accession_number_of.values()),
            "ae_title": calling_ae_title,
            "now": now,
        },
    )


def entries(tx: Tx, accession_number: str) -> list[Entry]:
    """The entries of an exam, oldest first."""
    return tx.all(
        Entry,
        "select * from worklist.entry where accession_number = %s order by step_key",
        (accession_number,),
    )
