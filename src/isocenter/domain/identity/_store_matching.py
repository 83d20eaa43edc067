"""The SQL of the index that finds records of one person, and of the pairs that people decide on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from isocenter.domain.identity.model import MatchPair
from isocenter.infra.db import Tx, jsonb


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A record as it is compared.

    Attributes:
        survivor_key: of a record that was merged into another.
        shared: how many search keys it has in common with what was looked for.
    """

    patient_key: int
    survivor_key: int | None
    person_name: str | None
    aliases: list[str] | None
    birth_date: date | None
    sex: str | None
    address: str | None
    phone: str | None
    mother_name: str | None
    birth_order: int | None
    vip: bool | None
    unidentified: bool | None
    identifiers: list[dict[str, str]]
    shared: int


_PERSONS: Final = """
select p.patient_key, p.survivor_key, p.person_name, p.aliases, p.birth_date, p.sex,
       p.address, p.phone, p.mother_name, p.birth_order, p.vip, p.unidentified,
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'assigning_authority', i.assigning_authority, 'value', i.value,
                   'type_code', i.type_code) order by i.assigning_authority, i.value), '[]')
          from identity.patient_identifier i where i.patient_key = p.patient_key)
       as identifiers,
       0 as shared
  from identity.patient p
"""


def persons(tx: Tx, patient_keys: Sequence[int]) -> list[PersonRow]:
    """The records themselves, merges not followed."""
    return tx.all(
        PersonRow,
        f"{_PERSONS} where p.patient_key = any(%s) order by p.patient_key",
        (list(patient_keys),),
    )


def records_of(tx: Tx, current_keys: Sequence[int]) -> list[PersonRow]:
    """The surviving records themselves, and those that were merged into them."""
    return tx.all(
        PersonRow,
        f"""
        {_PERSONS} where p.patient_key = any(%(keys)s) or p.survivor_key = any(%(keys)s)
         order by p.patient_key
        """,
        {"keys": list(current_keys)},
    )


@dataclass(frozen=True, slots=True)
class HolderRow:
    """A number that a record has; ``current_key`` is the surviving row that it leads to."""

    value: str
    assigning_authority: str
    current_key: int


def holders(tx: Tx, values: Sequence[str], *, limit: int) -> list[HolderRow]:
    """Who has numbers of these values, whoever issued them."""
    return tx.all(
        HolderRow,
        """
        select i.value, i.assigning_authority,
               coalesce(p.survivor_key, p.patient_key) as current_key
          from identity.patient_identifier i join identity.patient p using (patient_key)
         where i.value = any(%s)
         order by i.value, i.assigning_authority limit %s
        """,
        (list(values), limit),
    )


def known_authorities(tx: Tx, names: Sequence[str]) -> list[str]:
    """Those of these issuers of whom somebody has a number."""
    return tx.values(
        """
        select name from unnest(%s::text[]) name
         where exists (select from identity.patient_identifier where assigning_authority = name)
        """,
        (list(names),),
    )


@dataclass(frozen=True, slots=True)
class CandidateRow(PersonRow):
    """A record that shares search keys.

    Attributes:
        looked_for: whose.
    """

    looked_for: int


def candidates(
    tx: Tx, keys_of: Mapping[int, Sequence[int]], *, compared_max: int
) -> list[CandidateRow]:
    """For each record the others that share search keys with it, those that share most first.

    A key that thousands share would cost more than it finds: ten times as many as are compared are
    looked at and no more.

    Args:
        tx: an open transaction.
        keys_of: the search keys by key of the record; whoever has none is looked for under 0.
        compared_max: most records for each.
    """
    return tx.all(
        CandidateRow,
        """
        with asked as materialized (
            select (said->>0)::bigint as record,
                   array(select jsonb_array_elements_text(said->1)::int) as keys
              from jsonb_array_elements(%(asked)s) said
        )
        select p.patient_key, p.survivor_key, p.person_name, p.aliases, p.birth_date, p.sex,
               p.address, p.phone, p.mother_name, p.birth_order, p.vip, p.unidentified,
               (select coalesce(jsonb_agg(jsonb_build_object(
                           'assigning_authority', i.assigning_authority, 'value', i.value,
                           'type_code', i.type_code) order by i.assigning_authority, i.value), '[]')
                  from identity.patient_identifier i where i.patient_key = p.patient_key)
               as identifiers,
               found.shared, asked.record as looked_for
          from asked
         cross join lateral (
               select met.patient_key,
                      (select count(*) from unnest(met.keys) k where k = any(asked.keys))::int
                      as shared
                 from (select m.patient_key, m.keys from identity.match_profile m
                        where m.keys && asked.keys and m.patient_key <> asked.record
                        limit %(looked_at_max)s) met
                order by shared desc, met.patient_key limit %(compared_max)s
               ) found
          join identity.patient p on p.patient_key = found.patient_key
         order by asked.record, found.shared desc, p.patient_key
        """,
        {
            "asked": jsonb([[key, list(keys)] for key, keys in keys_of.items()]),
            "compared_max": compared_max,
            "looked_at_max": compared_max * 10,
        },
    )


def write_profiles(tx: Tx, profiles: Mapping[int, Sequence[int]]) -> None:
    """Let records be found by these keys."""
    tx.run(
        """
        insert into identity.match_profile (patient_key, keys)
        select (said->>0)::bigint, array(select jsonb_array_elements_text(said->1)::int)
          from jsonb_array_elements(%s) said
         order by 1
            on conflict (patient_key) do update set keys = excluded.keys
         where match_profile.keys <> excluded.keys
        """,
        (jsonb([[key, sorted(keys)] for key, keys in profiles.items()]),),
    )


@dataclass(frozen=True, slots=True)
class FrequencyRow:
    """How common a name is."""

    part: str
    name: str
    share: float


def frequencies(tx: Tx, names: Sequence[str]) -> list[FrequencyRow]:
    """Of these names, those that are common here."""
    return tx.all(
        FrequencyRow,
        "select part, name, share from identity.name_frequency where name = any(%s)",
        (list(names),),
    )


def refresh_frequencies(tx: Tx, *, names_max: int) -> int:
    """Count how common the most common names are now; gives how many are kept."""
    return tx.run(
        """
        with counted as (
            select part, name, count(*) as count, sum(count(*)) over (partition by part) as total,
                   row_number() over (partition by part order by count(*) desc, name) as rank
              from identity.patient
             cross join lateral (values
                   ('family', split_part(name_normalised, '^', 1)),
                   ('given', split_part(name_normalised, '^', 2))) as n (part, name)
             where name <> ''
             group by part, name
        ), gone as (
            delete from identity.name_frequency f
             where not exists (select from counted c
                                where c.part = f.part and c.name = f.name and c.rank <= %(max)s)
        )
        insert into identity.name_frequency (part, name, share)
        select part, name, count / total from counted where rank <= %(max)s and count > 1
            on conflict (part, name) do update set share = excluded.share
        """,
        {"max": names_max},
    )


def upsert_pair(
    tx: Tx,
    keys: tuple[int, int],
    kind: str,
    weighed: tuple[float, Sequence[Mapping[str, Any]]],
    *,
    now: datetime,
) -> MatchPair | None:
    """The pair as an open question; None when it was answered before, or is no news."""
    return tx.maybe(
        MatchPair,
        """
        insert into identity.match_pair
               (one_key, other_key, kind, state, weight, grounds, found_at)
        values (%(one)s, %(other)s, %(kind)s, 'open', %(weight)s, %(grounds)s, %(now)s)
            on conflict (one_key, other_key) do update
           set state = 'open', kind = excluded.kind, weight = excluded.weight,
               grounds = excluded.grounds,
               found_at = case when match_pair.state = 'passed' then excluded.found_at
                               else match_pair.found_at end
         where match_pair.state in ('open', 'passed')
           and (match_pair.state, match_pair.kind, match_pair.grounds)
               is distinct from ('open', excluded.kind, excluded.grounds)
        returning pair_key, one_key, other_key, kind, state, weight, grounds, found_at, decided_at,
                  decided_by, reason, done_key
        """,
        {
            "one": keys[0],
            "other": keys[1],
            "kind": kind,
            "weight": weighed[0],
            "grounds": jsonb(list(weighed[1])),
            "now": now,
        },
    )


def pass_pairs(tx: Tx, patient_keys: Sequence[int], *, still: Sequence[int]) -> int:
    """Close the open questions about records that their facts no longer raise."""
    return tx.run(
        """
        update identity.match_pair set state = 'passed'
         where state = 'open'
           and (one_key = any(%(keys)s::bigint[]) or other_key = any(%(keys)s::bigint[]))
           and one_key <> all(%(still)s::bigint[]) and other_key <> all(%(still)s::bigint[])
        """,
        {"keys": list(patient_keys), "still": list(still)},
    )


def lock_pair(tx: Tx, pair_key: int) -> MatchPair | None:
    """The pair, locked until the transaction ends."""
    return tx.maybe(
        MatchPair,
        """
        select pair_key, one_key, other_key, kind, state, weight, grounds, found_at, decided_at,
               decided_by, reason, done_key
          from identity.match_pair where pair_key = %s for update
        """,
        (pair_key,),
    )


def decide_pair(
    tx: Tx,
    pair_key: int,
    state: str,
    *,
    done_key: int | None,
    said: tuple[str, str],
    now: datetime,
) -> None:
    """Keep what became of the question. ``said``: by whom, and why."""
    tx.run(
        """
        update identity.match_pair
           set state = %s, done_key = %s, decided_by = %s, reason = %s, decided_at = %s
         where pair_key = %s
        """,
        (state, done_key, *said, now, pair_key),
    )
