-- Whether what was stored is still there and still the same: copies, passes of reading back, and what they found.

-- Every object that must never be lost, whichever table names it.
create view archive.stored_object as
    select 'instance'::text as kind, instance_key as object_key, blob_key, size_bytes, sha256, sop_instance_uid,
           study_instance_uid
      from archive.instance join archive.series using (series_key) join archive.study using (study_key)
    union all
    select 'conflict', conflict_key, blob_key, size_bytes, sha256, sop_instance_uid, study_instance_uid
      from archive.conflicting_instance;

-- The same bytes in another store.
create table archive.object_copy (
    copy_key      bigint generated always as identity primary key,
    blob_key      text not null,                     -- of the object
    store         text not null,                     -- where the copy is
    copy_blob_key text not null unique,
    copied_at     timestamptz not null,
    constraint copied_once unique (blob_key, store)
);

-- One pass reads every object back once: instances, then kept conflicts, then copies, each by key.
create table archive.scrub_pass (
    pass_key      bigint generated always as identity primary key,
    started_at    timestamptz not null,
    finished_at   timestamptz,
    kind          text not null default 'instance' check (kind in ('instance', 'conflict', 'copy')),
    after_key     bigint not null default 0,         -- of the last object of this kind that was read
    claimed_until timestamptz,                       -- a worker is at the next portion until then
    objects_total bigint not null,                   -- estimated at the start
    objects       bigint not null default 0,
    bytes         bigint not null default 0,
    faults        bigint not null default 0,
    repaired      bigint not null default 0,
    trouble       text                               -- why the pass does not get on, if it does not
);
create unique index scrub_pass_open on archive.scrub_pass ((finished_at is null)) where finished_at is null;

-- What was not as it must be. Settled when it was repaired, found sound again, or given up by a person.
create table archive.integrity_finding (
    finding_key        bigint generated always as identity primary key,
    kind               text not null check (kind in ('instance', 'conflict', 'copy')),
    blob_key           text not null,                -- of what was read
    fault              text not null check (fault in ('missing', 'damaged', 'unreadable')),
    detail             text not null,
    sop_instance_uid   text not null,
    study_instance_uid text not null,
    found_at           timestamptz not null,
    settled_at         timestamptz,
    settled_by         text,
    settlement         text,
    constraint settled_when check ((settled_at is null) = (settlement is null))
);
create unique index finding_open on archive.integrity_finding (blob_key) where settled_at is null;
create index finding_open_study on archive.integrity_finding (study_instance_uid) where settled_at is null;
create index finding_age on archive.integrity_finding (found_at desc, finding_key desc);

-- To which store a study's objects belong; without a row they stay where they arrived.
create table archive.placement (
    study_instance_uid text primary key,
    store              text not null,
    placed_at          timestamptz not null,
    placed_by          text not null
);
