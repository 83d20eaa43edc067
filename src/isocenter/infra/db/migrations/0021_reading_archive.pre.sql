-- What was measured and marked, written into the archive as DICOM objects.

create table reading.archiving (
    study_instance_uid text primary key,
    requested_by       text not null,
    author             text not null,              -- as people know who requested it
    requested_at       timestamptz not null,
    done_at            timestamptz,
    failure            text not null default ''    -- what could not be written, in words
);

create table reading.archived_object (
    sop_instance_uid    text primary key,
    study_instance_uid  text not null,
    series_instance_uid text not null,
    sop_class_uid       text not null,
    kind                text not null check (kind in ('measurements', 'key_images', 'view', 'segmentation')),
    subject             text not null,             -- the measurement that it is about; empty: all of the kind
    digest              bytea not null,            -- of what it says
    instance_number     integer not null,
    written_at          timestamptz not null
);
create index archived_object_study on reading.archived_object (study_instance_uid, kind, subject, instance_number);
