-- Patients as a graph (records, merges, links, identifiers that moved) and the index that finds records of one person.

alter table identity.patient
    add column aliases           text[],           -- further names, DICOM PN in caret form; null: never said
    add column unidentified      boolean,          -- nobody knows yet who this is
    add column vip               boolean,
    add column birth_order       int check (birth_order between 0 and 20),  -- among children of one birth; 0: a single child
    add column mother_name       text,
    add column mother_identifier text;             -- as value^^^authority

-- Another identifier took its place: it still leads to the patient, and is no longer the one to show.
alter table identity.patient_identifier add column retired_at timestamptz;

create or replace view identity.current_patient as
select named.patient_key,
       current.patient_key as current_key,
       identifier.value    as patient_id,
       identifier.assigning_authority as issuer_of_patient_id,
       current.person_name, current.name_normalised, current.name_phonetic, current.birth_date, current.sex,
       current.address, current.phone
  from identity.patient named
  join identity.patient current on current.patient_key = coalesce(named.survivor_key, named.patient_key)
  left join lateral (
       select candidate.value, candidate.assigning_authority
         from identity.patient_identifier candidate
        where candidate.patient_key = current.patient_key
        order by candidate.retired_at is not null, candidate.type_code <> 'MR', candidate.assigning_authority = '',
                 candidate.assigning_authority, candidate.value
        limit 1) identifier on true;

-- "These two records are the same person", while both stay in use: neither stands for the other.
create table identity.link (
    link_key    bigint generated always as identity primary key,
    one_key     bigint      not null references identity.patient,
    other_key   bigint      not null references identity.patient,
    origin      text        not null check (origin in ('message', 'person', 'system')),
    reason      text        not null default '',
    asserted_at timestamptz not null,
    linked_at   timestamptz not null,
    undone_at   timestamptz,
    actor       text        not null,
    unique (one_key, other_key),
    check (one_key < other_key)
);
create index link_other on identity.link (other_key);

-- An identifier that now names another record, or was replaced by another one.
create table identity.identifier_change (
    change_key          bigint generated always as identity primary key,
    assigning_authority text        not null,
    value               text        not null,
    from_key            bigint      not null references identity.patient,
    to_key              bigint      not null references identity.patient,  -- the same: it was retired
    asserted_at         timestamptz not null,
    changed_at          timestamptz not null,
    undone_at           timestamptz,
    actor               text        not null
);
create index identifier_change_identifier on identity.identifier_change (assigning_authority, value);
create index identifier_change_from on identity.identifier_change (from_key);
create index identifier_change_to on identity.identifier_change (to_key);

-- What a record is found by when no identifier connects it with another: hashes of combinations of its facts.
create table identity.match_profile (
    patient_key bigint primary key references identity.patient,
    keys        int[] not null
);
create index match_profile_keys on identity.match_profile using gin (keys) with (fastupdate = off);
-- Keys are rare by construction; without this the planner takes a list of them for a large part of the table.
alter table identity.match_profile alter column keys set statistics 1000;

-- Two records that may be one person, and what became of the question. It is asked once.
create table identity.match_pair (
    pair_key   bigint generated always as identity primary key,
    one_key    bigint           not null references identity.patient,
    other_key  bigint           not null references identity.patient,
    kind       text             not null check (kind in ('duplicate', 'reused_identifier')),
    state      text             not null check (state in ('open', 'linked', 'merged', 'not_the_same', 'passed')),
    weight     double precision not null,          -- log2 of how much likelier the agreement is among records of one person
    grounds    jsonb            not null,          -- field by field
    found_at   timestamptz      not null,
    decided_at timestamptz,
    decided_by text             not null default '',
    reason     text             not null default '',
    done_key   bigint,                             -- of the link or merge that the decision made
    unique (one_key, other_key),
    check (one_key < other_key)
);
create index match_pair_other on identity.match_pair (other_key);
create index match_pair_open on identity.match_pair (weight desc, pair_key) where state = 'open';
create index match_pair_decided on identity.match_pair (decided_at desc) where decided_at is not null;

-- How common a name is here: two people of a rare name are likelier to be one.
create table identity.name_frequency (
    part  text             not null check (part in ('family', 'given')),
    name  text             not null,
    share double precision not null check (share > 0 and share <= 1),
    primary key (part, name)
);

-- Whom the patient of a draft was taken for when it was last opened for writing; null: drafted before this was kept.
alter table reporting.report add column patient_key bigint;

alter table peers.hl7_peer drop constraint hl7_peer_receive_check;
alter table peers.hl7_peer add constraint hl7_peer_receive_check
    check (receive <@ array['adt', 'orm', 'oru', 'siu', 'mdm', 'dft', 'bar', 'qbp']);
