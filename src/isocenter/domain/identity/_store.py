"""The SQL of schema ``identity``. One function is one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from isocenter.domain.identity.model import Merge, PatientIdentifier
from isocenter.infra.db import Tx, jsonb

# Merges are rare and concern several patients at once: they go one after the other.
_MERGE_LOCK = 0x15_0CE1_0001


@dataclass(frozen=True, slots=True)
class IdentifiedRow:
    """A patient row with one of the identifiers it was found by.

    Attributes:
        position: of the set of identifiers that it was looked for by.
        holds_another: the patient has another identifier of the set's first one's authority and
            type.
    """

    position: int
    assigning_authority: str
    value: str
    holds_another: bool
    patient_key: int
    person_name: str | None
    birth_date: date | None
    sex: str | None
    address: str | None
    phone: str | None
    aliases: list[str] | None
    unidentified: bool | None
    vip: bool | None
    birth_order: int | None
    mother_name: str | None
    mother_identifier: str | None
    survivor_key: int | None
    said_at: dict[str, int]


@dataclass(frozen=True, slots=True)
class CurrentRow:
    """A surviving patient with all identifiers of its records, own ones first.

    Attributes:
        named_key: the row that it stands for.
    """

    named_key: int
    patient_key: int
    person_name: str | None
    birth_date: date | None
    sex: str | None
    address: str | None
    phone: str | None
    aliases: list[str] | None
    unidentified: bool | None
    vip: bool | None
    birth_order: int | None
    mother_name: str | None
    mother_identifier: str | None
    identifiers: list[dict[str, Any]]


def lock_by_identifiers(
    tx: Tx, identifier_sets: Sequence[Sequence[PatientIdentifier]]
) -> list[IdentifiedRow]:
    """The patients that have any of the identifiers of each set, locked in order of their keys."""
    said = [
        (position, each, identifiers[0])
        for position, identifiers in enumerate(identifier_sets)
        for each in identifiers
    ]
    return tx.all(
        IdentifiedRow,
        """
        select said.position, i.assigning_authority, i.value,
               exists (select from identity.patient_identifier other
                        where other.patient_key = i.patient_key
                          and other.assigning_authority is not distinct from said.first_authority
                          and other.type_code = said.first_type_code
                          and other.value <> said.first_value) as holds_another,
               p.patient_key, p.person_name, p.birth_date, p.sex, p.address, p.phone,
               p.aliases, p.unidentified, p.vip, p.birth_order, p.mother_name, p.mother_identifier,
               p.survivor_key, p.said_at
          from unnest(%(positions)s::int[], %(authorities)s::text[], %(values)s::text[],
                      %(first_authorities)s::text[], %(first_values)s::text[],
                      %(first_type_codes)s::text[])
               as said (position, assigning_authority, value, first_authority, first_value,
                        first_type_code)
          join identity.patient_identifier i using (assigning_authority, value)
          join identity.patient p using (patient_key)
         order by p.patient_key
           for no key update of p
        """,
        {
            "positions": [position for position, _, _ in said],
            "authorities": [each.assigning_authority for _, each, _ in said],
            "values": [each.value for _, each, _ in said],
            "first_authorities": [first.assigning_authority for _, _, first in said],
            "first_values": [first.value for _, _, first in said],
            "first_type_codes": [first.type_code for _, _, first in said],
        },
    )


@dataclass(frozen=True, slots=True)
class InsertedPatient:
    """A new patient, and the position of its description."""

    position: int
    patient_key: int


def insert_patients(
    tx: Tx, patients: Sequence[tuple[Sequence[PatientIdentifier], Mapping[str, Any]]]
) -> list[InsertedPatient]:
    """New patients of (identifiers, columns) each, without those whose first identifier is taken.

    Identifiers are taken in one order everywhere: two transactions never wait for each other.
    """
    rows = [
        {
            **columns,
            "position": position,
            "assigning_authority": identifiers[0].assigning_authority,
            "value": identifiers[0].value,
            "type_code": identifiers[0].type_code,
            "further": identifiers[1:],
        }
        for position, (identifiers, columns) in enumerate(patients)
    ]
    return tx.all(
        InsertedPatient,
        """
        with said as (
            select nextval('identity.patient_patient_key_seq') as patient_key, f.*
              from jsonb_to_recordset(%s) as f (
                   position int, assigning_authority text, value text, type_code text,
                   further jsonb, person_name text, name_normalised text, name_phonetic text,
                   birth_date date, sex text, address text, phone text, aliases text[],
                   unidentified boolean, vip boolean, birth_order int, mother_name text,
                   mother_identifier text, asserted_at timestamptz, said_at jsonb, now timestamptz)
        ), first as (
            insert into identity.patient_identifier
                   (assigning_authority, value, type_code, patient_key)
            select assigning_authority, value, type_code, patient_key from said order by 1, 2
                on conflict do nothing
            returning patient_key
        ), further as (
            insert into identity.patient_identifier
                   (assigning_authority, value, type_code, patient_key)
            select f.assigning_authority, f.value, f.type_code, first.patient_key
              from first join said using (patient_key)
             cross join lateral jsonb_to_recordset(said.further)
                   as f (assigning_authority text, value text, type_code text)
             order by 1, 2
                on conflict do nothing
        ), created as (
            insert into identity.patient
                   (patient_key, person_name, name_normalised, name_phonetic, birth_date, sex,
                    address, phone, aliases, unidentified, vip, birth_order, mother_name,
                    mother_identifier, asserted_at, said_at, created_at, updated_at)
            select patient_key, person_name, name_normalised, name_phonetic, birth_date, sex,
                   address, phone, aliases, unidentified, vip, birth_order, mother_name,
                   mother_identifier, asserted_at, said_at, now, now
              from first join said using (patient_key)
            returning patient_key
        )
        select said.position, patient_key from created join said using (patient_key)
        """,
        (jsonb(rows),),
    )


def update_patient(tx: Tx, patient_key: int, columns: Mapping[str, Any]) -> None:
    """Write what is known about a patient now."""
    tx.run(
        """
        update identity.patient
           set person_name = %(person_name)s, name_normalised = %(name_normalised)s,
               name_phonetic = %(name_phonetic)s, birth_date = %(birth_date)s, sex = %(sex)s,
               address = %(address)s, phone = %(phone)s, aliases = %(aliases)s,
               unidentified = %(unidentified)s, vip = %(vip)s, birth_order = %(birth_order)s,
               mother_name = %(mother_name)s, mother_identifier = %(mother_identifier)s,
               asserted_at = greatest(asserted_at, %(asserted_at)s),
               said_at = %(said_at)s, updated_at = %(now)s
         where patient_key = %(patient_key)s
        """,
        {**columns, "said_at": jsonb(columns["said_at"]), "patient_key": patient_key},
    )


def add_identifiers(tx: Tx, patient_key: int, identifiers: Sequence[PatientIdentifier]) -> int:
    """How many of the identifiers became the patient's; those of other patients stay theirs."""
    return tx.run(
        """
        insert into identity.patient_identifier (assigning_authority, value, type_code, patient_key)
        select said.assigning_authority, said.value, said.type_code, %s
          from unnest(%s::text[], %s::text[], %s::text[])
               as said (assigning_authority, value, type_code)
         order by 1, 2
            on conflict do nothing
        """,
        (
            patient_key,
            [each.assigning_authority for each in identifiers],
            [each.value for each in identifiers],
            [each.type_code for each in identifiers],
        ),
    )


def current_key(tx: Tx, patient_key: int) -> int | None:
    """The row that stands for this one."""
    return tx.value(
        "select coalesce(survivor_key, patient_key) from identity.patient where patient_key = %s",
        (patient_key,),
    )


def current_keys_of(tx: Tx, value: str, assigning_authority: str | None) -> list[int]:
    """The surviving rows that an identifier leads to, in any authority when that is None."""
    return tx.values(
        """
        select distinct coalesce(p.survivor_key, p.patient_key)
          from identity.patient_identifier i
          join identity.patient p using (patient_key)
         where i.value = %(value)s
           and (%(authority)s::text is null or i.assigning_authority = %(authority)s)
        """,
        {"value": value, "authority": assigning_authority},
    )


def current_patients(tx: Tx, patient_keys: Sequence[int]) -> list[CurrentRow]:
    """The patients that stand for rows, in no order."""
    return tx.all(
        CurrentRow,
        """
        select named.patient_key as named_key, c.patient_key, c.person_name, c.birth_date, c.sex,
               c.address, c.phone, c.aliases, c.unidentified, c.vip, c.birth_order, c.mother_name,
               c.mother_identifier,
               (select coalesce(jsonb_agg(jsonb_build_object(
                           'own', i.patient_key = c.patient_key,
                           'assigning_authority', i.assigning_authority,
                           'value', i.value, 'type_code', i.type_code)
                        order by i.patient_key <> c.patient_key, i.retired_at is not null,
                                 i.type_code <> 'MR',
                                 i.assigning_authority = '', i.assigning_authority, i.value), '[]')
                  from identity.patient record
                  join identity.patient_identifier i using (patient_key)
                 where record.patient_key = c.patient_key
                    or record.survivor_key = c.patient_key) as identifiers
          from identity.patient named
          join identity.patient c
            on c.patient_key = coalesce(named.survivor_key, named.patient_key)
         where named.patient_key = any(%s)
        """,
        (list(patient_keys),),
    )


def lock_merges(tx: Tx) -> None:
    """Wait until no other transaction merges or unmerges."""
    tx.value("select pg_advisory_xact_lock(%s)", (_MERGE_LOCK,))


def lock_connected(tx: Tx, identifiers: Sequence[PatientIdentifier]) -> None:
    """Lock every patient that merges, undone ones included, connect with the identifiers."""
    tx.values(
        """
        with recursive connected (patient_key) as (
            select patient_key
              from identity.patient_identifier
             where (assigning_authority, value) in
                   (select * from unnest(%s::text[], %s::text[]))
             union
            select case when m.prior_key = c.patient_key then m.survivor_key else m.prior_key end
              from connected c
              join identity.merge m on c.patient_key in (m.prior_key, m.survivor_key)
        )
        select patient_key
          from identity.patient
         where patient_key in (select patient_key from connected)
         order by patient_key
           for no key update
        """,
        ([each.assigning_authority for each in identifiers], [each.value for each in identifiers]),
    )


def lock_connected_records(tx: Tx, patient_keys: Sequence[int]) -> None:
    """As ``lock_connected`` for records that are known by their keys."""
    tx.values(
        """
        with recursive connected (patient_key) as (
            select unnest(%s::bigint[])
             union
            select case when m.prior_key = c.patient_key then m.survivor_key else m.prior_key end
              from connected c
              join identity.merge m on c.patient_key in (m.prior_key, m.survivor_key)
        )
        select patient_key
          from identity.patient
         where patient_key in (select patient_key from connected)
         order by patient_key
           for no key update
        """,
        (list(patient_keys),),
    )


def upsert_merge(
    tx: Tx, survivor_key: int, prior_key: int, asserted_at: datetime, *, actor: str, now: datetime
) -> None:
    """Keep the assertion. One that was undone revives only by an assertion after the undoing."""
    tx.run(
        """
        insert into identity.merge (survivor_key, prior_key, asserted_at, merged_at, actor)
        values (%(survivor_key)s, %(prior_key)s, %(asserted_at)s, %(now)s, %(actor)s)
            on conflict (prior_key, survivor_key) do update
           set asserted_at = greatest(merge.asserted_at, excluded.asserted_at),
               undone_at = case when excluded.asserted_at > merge.undone_at then null
                                else merge.undone_at end
        """,
        {
            "survivor_key": survivor_key,
            "prior_key": prior_key,
            "asserted_at": asserted_at,
            "now": now,
            "actor": actor,
        },
    )


def merges_connected(tx: Tx, patient_key: int) -> list[Merge]:
    """Every merge that is connected with the patient, over any number of others."""
    return tx.all(
        Merge,
        """
        with recursive connected (patient_key) as (
            select %s::bigint
             union
            select case when m.prior_key = c.patient_key then m.survivor_key else m.prior_key end
              from connected c
              join identity.merge m on c.patient_key in (m.prior_key, m.survivor_key)
        )
        select merge_key, survivor_key, prior_key, asserted_at, merged_at, undone_at, actor
          from identity.merge
         where prior_key in (select patient_key from connected)
         order by merge_key
        """,
        (patient_key,),
    )


def undo_merge(tx: Tx, merge_key: int, now: datetime) -> int | None:
    """The survivor of the merge that is now undone; None when there is none to undo."""
    return tx.value(
        """
        update identity.merge set undone_at = %s
         where merge_key = %s and undone_at is null
        returning survivor_key
        """,
        (now, merge_key),
    )


def merge_by_key(tx: Tx, merge_key: int) -> Merge | None:
    """One merge."""
    return tx.maybe(
        Merge,
        """
        select merge_key, survivor_key, prior_key, asserted_at, merged_at, undone_at, actor
          from identity.merge where merge_key = %s
        """,
        (merge_key,),
    )


def set_survivors(tx: Tx, survivor_of: Mapping[int, int | None], now: datetime) -> list[int]:
    """Point each patient to its survivor; gives those that pointed elsewhere before."""
    keys = sorted(survivor_of)
    return tx.values(
        """
        update identity.patient p
           set survivor_key = said.survivor_key, updated_at = %s
          from unnest(%s::bigint[], %s::bigint[]) as said (patient_key, survivor_key)
         where p.patient_key = said.patient_key
           and p.survivor_key is distinct from said.survivor_key
        returning p.patient_key
        """,
        (now, keys, [survivor_of[key] for key in keys]),
    )


def identifiers_by_patient(tx: Tx, patient_keys: Sequence[int]) -> list[str]:
    """The identifiers of patients, as ``value`` or ``value^^^authority``, for the audit record."""
    return tx.values(
        """
        select case when assigning_authority = '' then value
                    else value || '^^^' || assigning_authority end
          from identity.patient_identifier where patient_key = any(%s) order by 1
        """,
        (list(patient_keys),),
    )
