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

-- A rejected instance is kept where kept conflicts are, and nobody is shown it.
alter table archive.conflicting_instance add column rejection_key bigint references archive.rejection;
create index conflicting_rejected on archive.conflicting_instance (sop_instance_uid) where rejection_key is not null;
create index conflicting_rejection on archive.conflicting_instance (rejection_key) where rejection_key is not null;
