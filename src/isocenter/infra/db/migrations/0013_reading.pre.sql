-- What is measured in images, and how people like them shown.

create schema reading;

create table reading.measurement (
    measurement_id      text primary key,
    study_instance_uid  text not null,
    series_instance_uid text not null,
    sop_instance_uid    text not null,
    frame_number        integer not null check (frame_number > 0),
    tool                text not null,
    label               text not null,
    content             jsonb not null,              -- points in mm (patient coordinates), values with units
    created_by          text not null,
    created_at          timestamptz not null,
    updated_by          text not null,
    updated_at          timestamptz not null
);
create index measurement_study on reading.measurement (study_instance_uid, created_at);

create table reading.preference (
    user_key   bigint not null,
    name       text not null,
    value      jsonb not null,
    updated_at timestamptz not null,
    primary key (user_key, name)
);
