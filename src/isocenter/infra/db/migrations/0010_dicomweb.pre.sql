-- What searches return of requests and time zones, and images that somebody took out of circulation.

-- Taken from the series' metadata when that is made: admission does not look into sequences.
alter table archive.study add column timezone_offset_from_utc text;
alter table archive.series
    add column timezone_offset_from_utc text,
    add column request_attributes jsonb not null default '[]';  -- [{"requested_procedure_id": …, "scheduled_procedure_step_id": …}]

-- One row for each time that a person rejected a study, a series or an instance.
create table archive.rejection (
    rejection_key        bigint generated always as identity primary key,
    study_instance_uid   text not null,
    series_instance_uid  text,
    sop_instance_uid     text,
    reason               text not null,
    rejected_by          text not null,
    rejected_at          timestamptz not null,
    number_of_instances  integer not null
);
create index rejection_study on archive.rejection (study_instance_uid);

-- Instances that are kept and that nobody is shown. The blob holds all else that is known of them.
create table archive.rejected_instance (
    sop_instance_uid     text primary key,
    rejection_key        bigint not null references archive.rejection,
    study_instance_uid   text not null,
    series_instance_uid  text not null,
    sop_class_uid        text not null,
    transfer_syntax_uid  text not null,
    blob_key             text not null,
    size_bytes           bigint not null,
    sha256               bytea not null,
    received_at          timestamptz not null,
    calling_ae_title     text not null
);
create index rejected_instance_rejection on archive.rejected_instance (rejection_key);
create index rejected_instance_blob on archive.rejected_instance (blob_key);
