"""What a large hospital's index looks like, written by SQL: no object is behind it.

Names, descriptions and stations are made of syllables, a few of them on many studies and many on a
few, as they are in a hospital. Studies come in the order of their dates, but for one in twenty that
was brought from elsewhere. All of it is the same in every run.
"""

import random
from collections.abc import Callable, Sequence
from datetime import date
from itertools import product
from typing import Final, LiteralString

from isocenter.infra.db import Database, Tx
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys

_AT_ONCE: Final = 20_000
_SERIES_PER_STUDY: Final = 4
_FIRST_DAY: Final = date(2006, 1, 1)
_DAYS: Final = 7300
_PATIENTS_PER_STUDY: Final = 0.4
_OPEN_STEPS: Final = 5_000

# Parts of family names. One in eight begins with S.
_ONSETS: Final = (
    *("S", "Sch", "St", "Sa", "M", "Ma", "B", "Be", "H", "Ha", "K", "Kr", "W", "We", "R", "G", "L"),
    *("F", "D", "P", "T", "N", "V", "Br", "Gr", "J", "Z", "E", "A", "O"),
)
_MIDDLES: Final = ("al", "er", "in", "ol", "um", "ek", "ist", "ert", "ang", "ott", "ivo", "ara")
_ENDINGS: Final = ("man", "berg", "ova", "ini", "sen", "dez", "ko", "ard", "ley", "ow", "elli", "u")
_GIVEN: Final = tuple(
    first + rest
    for first, rest in product(
        ("An", "Mar", "El", "Jo", "Pet", "Chr", "Lu", "Ni"),
        ("a", "ia", "is", "en", "er", "o", "ine", "us"),
    )
)
_PARTS: Final = ("Chest", "Abdomen", "Head", "Knee", "Spine", "Hip", "Hand", "Pelvis", "Neck")
_KINDS: Final = ("", " with contrast", " follow-up", " portable", " two views", " low dose")
_RARE: Final = ("Arthrogram shoulder", "Defecography", "Sialography", "Dacryocystography")

_NAMES: Final = """
create temporary table bench_family as
select row_number() over () - 1 as n, family, normalised, phonetic
  from unnest(%s::text[], %s::text[], %s::text[]) as given (family, normalised, phonetic);
"""
_GIVENS: Final = """
create temporary table bench_given as
select row_number() over () - 1 as n, given, normalised, phonetic
  from unnest(%s::text[], %s::text[], %s::text[]) as given (given, normalised, phonetic);
"""
# A family is the more frequent the smaller its number.
_PEOPLE: Final = """
create temporary table bench_person as
select p, 'P' || to_char(p, 'FM0000000') as patient_id,
       family || '^' || given as patient_name,
       family.normalised || '^' || given.normalised as normalised,
       family.phonetic || ' ' || given.phonetic as phonetic,
       date '1930-01-01' + pg_temp.pick(p, 3, 33000)::int as birth_date,
       (array['F', 'M'])[pg_temp.pick(p, 4, 2) + 1] as sex
  from generate_series(1, %(people)s) p
  join bench_family family
    on family.n = floor(%(families)s * power(pg_temp.pick(p, 1, 1000000) / 1e6, 3))
  join bench_given given on given.n = pg_temp.pick(p, 2, %(givens)s)
"""
_PICK: Final = """
create function pg_temp.pick(n bigint, seed bigint, below bigint) returns bigint
language sql immutable as
$$ select mod(hashint8extended(n, seed) & 9223372036854775807, below) $$
"""
_STUDIES: Final = """
with studies as (
    insert into archive.study
           (study_instance_uid, patient_id, issuer_of_patient_id, patient_name,
            patient_name_normalised, patient_name_phonetic, patient_birth_date, patient_sex,
            accession_number, study_id, study_date, study_time, study_description,
            referring_physician_name, referring_physician_normalised, modalities, sop_classes,
            calling_ae_titles, number_of_series, number_of_instances, first_received_at,
            last_received_at, completed_at)
    select '2.25.95' || n, person.patient_id, 'HOSPITAL', person.patient_name, person.normalised,
           person.phonetic, person.birth_date, person.sex, 'A' || to_char(n, 'FM00000000'), n::text,
           %(first_day)s::date + case when pg_temp.pick(n, 5, 20) = 0
                                      then pg_temp.pick(n, 6, %(days)s)
                                      else n * %(days)s::bigint / (%(studies)s + 1) end::int,
           time '07:00' + pg_temp.pick(n, 7, 50000) * interval '1 second',
           case when pg_temp.pick(n, 8, 5000) = 0
                then (%(rare)s::text[])[pg_temp.pick(n, 9, %(n_rare)s) + 1]
                else modality || ' '
                     || (%(parts)s::text[])[pg_temp.pick(n, 10, %(n_parts)s) + 1]
                     || (%(kinds)s::text[])[pg_temp.pick(n, 11, %(n_kinds)s) + 1] end,
           physician.patient_name, physician.normalised,
           array[modality], array['1.2.840.10008.5.1.4.1.1.2'],
           array['BENCH'], %(series)s, 1, received_at, received_at, received_at
      from generate_series(%(first)s::int, %(last)s::int) n
      join bench_person person on person.p = pg_temp.pick(n, 12, %(people)s) + 1
      join bench_person physician
        on physician.p = 1 + floor(2000 * power(pg_temp.pick(n, 13, 1000000) / 1e6, 2)),
           lateral (select case when pg_temp.pick(n, 14, 10000) = 0 then 'ES'
                    else (array['DX','DX','DX','DX','CT','CT','US','US','MR','MG'])
                         [pg_temp.pick(n, 15, 10) + 1] end as modality) chosen,
           lateral (select now() - interval '1 day' as received_at) long_ago
    returning study_key, study_instance_uid, modalities, first_received_at, study_date, study_time),
series as (
    insert into archive.series
           (study_key, series_instance_uid, modality, series_number, series_description,
            series_date, series_time, station_name, body_part_examined,
            performed_procedure_step_start_date, number_of_instances, first_received_at,
            last_received_at)
    select study_key, study_instance_uid || '.' || n, modalities[1], n, 'Series ' || n,
           study_date, study_time,
           modalities[1] || case when pg_temp.pick(study_key, 16, 20000) = 0 then 'SPARE'
                                 else pg_temp.pick(study_key, 17, 6)::text end,
           'CHEST', study_date, (n = 1)::int, first_received_at, first_received_at
      from studies cross join generate_series(1, %(series)s::int) n
    returning series_key, series_instance_uid, series_number, first_received_at),
valued as (
    insert into archive.attribute_value
           (attribute_key, entity_key, series_key, position, value, matched)
    select %(institution)s, series_key, series_key, 0, chosen, chosen
      from series,
           lateral (select 'Hospital ' || case when pg_temp.pick(series_key, 18, 30000) = 0
                                               then 'Far' else 'Main' end as chosen) named
     where series_number = 1)
insert into archive.instance
       (series_key, sop_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size_bytes,
        sha256, dataset_offset, received_at, calling_ae_title)
select series_key, series_instance_uid || '.1', '1.2.840.10008.5.1.4.1.1.2',
       '1.2.840.10008.1.2.1', '', 0, '', 0, first_received_at, 'BENCH'
  from series where series_number = 1
"""
_INSTITUTION: Final = """
insert into archive.indexed_attribute
       (tag, name, vr, level, state, added_at, added_by)
values (8 * 65536 + 128, 'InstitutionName', 'LO', 'series', 'ready', now(), 'bench')
returning attribute_key
"""
# Steps of a fifth of the studies; the last of them are still open, from today on.
_STEPS: Final = """
with people as (
    insert into identity.patient
           (patient_key, person_name, name_normalised, name_phonetic, birth_date, sex, asserted_at,
            created_at, updated_at)
    overriding system value
    select 1000000000 + p, patient_name, normalised, phonetic, birth_date, sex, now(), now(), now()
      from bench_person where p <= %(steps)s),
identified as (
    insert into identity.patient_identifier (patient_key, value, assigning_authority)
    select 1000000000 + p, patient_id, 'HOSPITAL' from bench_person where p <= %(steps)s),
placed as (
    insert into orders.imaging_order
           (accession_number, patient_key, source_peer, state, asserted_at, placed_at,
            state_changed_at, updated_at)
    select 'S' || n, 1000000000 + n, 'bench',
           case when n > %(steps)s - %(open)s then 'placed' else 'completed' end, at, at, at, at
      from generate_series(1, %(steps)s) n,
           lateral (select now() - interval '1 day' as at) long_ago
    returning order_key, accession_number, state),
procedures as (
    insert into orders.requested_procedure
           (order_key, requested_procedure_id, study_instance_uid, study_instance_uid_issued,
            state, description)
    select order_key, accession_number, '2.25.96' || substr(accession_number, 2), true, state,
           'Chest'
      from placed
    returning procedure_key, requested_procedure_id, state)
insert into scheduling.scheduled_procedure_step
       (procedure_key, accession_number, scheduled_procedure_step_id, modality,
        station_ae_titles, start_at, status, booked_at, status_changed_at, updated_at)
select procedure_key, requested_procedure_id, requested_procedure_id,
       (array['DX', 'CT', 'MR', 'US'])[mod(n, 4) + 1],
       array[(array['DX', 'CT', 'MR', 'US'])[mod(n, 4) + 1] || mod(n, 7)],
       case when state = 'placed'
            then date_trunc('day', now()) + (%(steps)s - n) * interval '2 minutes'
            else now() - interval '1 day' - n * interval '30 minutes' end,
       case when state = 'placed' then 'SCHEDULED' else 'COMPLETED' end, now(), now(), now()
  from procedures, lateral (select substr(requested_procedure_id, 2)::int as n) numbered
"""
# An index that is made of all rows at once takes a tenth of the time that one row after the other
# takes. Those that constraints need stay.
_SET_INDEXES_ASIDE: Final = """
do $$
declare
    each record;
begin
    create table archive.bench_index as
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
      from pg_index
     where indrelid in ('archive.study'::regclass, 'archive.series'::regclass,
                        'archive.instance'::regclass, 'archive.attribute_value'::regclass)
       and not indisunique;
    for each in select name from archive.bench_index loop
        execute 'drop index ' || each.name;
    end loop;
end $$
"""
_MAKE_INDEXES: Final = """
do $$
declare
    each record;
begin
    for each in select definition from archive.bench_index loop
        execute each.definition;
    end loop;
    drop table archive.bench_index;
end $$
"""
_SETTLE: Final[LiteralString] = (
    "vacuum analyze "
    "archive.study, archive.series, archive.instance, archive.attribute_value, identity.patient,"
    " identity.patient_identifier,"
    " orders.imaging_order, orders.requested_procedure, scheduling.scheduled_procedure_step"
)


def fill(database: Database, studies: int, say: Callable[[str], None]) -> None:
    """Write ``studies`` studies, four times as many series, and steps of a worklist.

    Args:
        database: of an installation, by a role that may do everything. It has one connection.
        studies: how many.
        say: told of progress.
    """
    people = max(1000, int(studies * _PATIENTS_PER_STUDY))
    with database.transaction() as tx:
        tx.run(_SET_INDEXES_ASIDE)
        _name(tx, people)
        institution = tx.value(_INSTITUTION)
    given = {
        "first_day": _FIRST_DAY,
        "days": _DAYS,
        "studies": studies,
        "people": people,
        "rare": list(_RARE),
        "n_rare": len(_RARE),
        "parts": list(_PARTS),
        "n_parts": len(_PARTS),
        "kinds": list(_KINDS),
        "n_kinds": len(_KINDS),
        "series": _SERIES_PER_STUDY,
        "institution": institution,
    }
    for first in range(1, studies + 1, _AT_ONCE):
        last = min(first + _AT_ONCE - 1, studies)
        with database.transaction() as tx:
            _hurry(tx)
            tx.run(_STUDIES, {**given, "first": first, "last": last})
        say(f"{last} studies")
    with database.transaction() as tx:
        _hurry(tx)
        steps = min(people, studies // 5)
        tx.run(_STEPS, {"steps": steps, "open": min(_OPEN_STEPS, steps // 2)})
    say("worklist")
    with database.transaction() as tx:
        _hurry(tx)
        tx.run(_MAKE_INDEXES)
    say("indexes")
    settle(database)


def settle(database: Database) -> None:
    """Statistics of all that was written; what is measured next shall not wait for it."""
    with database.statement() as tx:
        tx.run("set statement_timeout = 0")
        tx.run(_SETTLE)
        tx.run("checkpoint")


def _name(tx: Tx, people: int) -> None:
    chance = random.Random("families")  # noqa: S311 - the same in every run
    families = ["".join(parts) for parts in product(_ONSETS, _MIDDLES, _ENDINGS)]
    chance.shuffle(families)
    tx.run(_PICK)
    tx.run(_NAMES, _keyed(families))
    tx.run(_GIVENS, _keyed(_GIVEN))
    tx.run(_PEOPLE, {"people": people, "families": len(families), "givens": len(_GIVEN)})
    tx.run("create index on bench_person (p)")
    tx.run("analyze bench_person")


def _keyed(names: Sequence[str]) -> list[list[str]]:
    """The names, what they are found by, and what they sound like."""
    keys = [person_name_key(name) for name in names]
    return [list(names), keys, [" ".join(phonetic_keys(name)) for name in names]]


def _hurry(tx: Tx) -> None:
    """What need not survive a crash, and refers to rows that are there for certain."""
    tx.run("set local synchronous_commit = off")
    tx.run("set local session_replication_role = replica")
    tx.run("set local maintenance_work_mem = '512MB'")
    tx.run("set local work_mem = '128MB'")
    tx.run("set local statement_timeout = 0")
