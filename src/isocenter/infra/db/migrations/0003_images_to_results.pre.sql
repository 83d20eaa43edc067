-- What follows the order: images, their match with the order, the report, its way to the recipients, and alarms.

create schema archive;

-- Attributes are those of the first instance that gave a value; later instances never change them.
create table archive.study (
    study_key                  bigint generated always as identity primary key,
    study_instance_uid         text not null unique,
    patient_id                 text,
    issuer_of_patient_id       text,
    patient_name               text,                 -- as received: component groups separated by =, components by ^
    patient_name_normalised    text,
    patient_name_phonetic      text,
    patient_birth_date         date,
    patient_sex                text,
    accession_number           text,
    issuer_of_accession_number text,
    study_id                   text,
    study_date                 date,
    study_time                 time,
    study_description          text,
    referring_physician_name   text,
    referring_physician_normalised text,
    modalities                 text[] not null default '{}',   -- sorted, without repeats
    sop_classes                text[] not null default '{}',   -- sorted, without repeats
    calling_ae_titles          text[] not null default '{}',   -- sorted, without repeats
    number_of_series           integer not null default 0,
    number_of_instances        integer not null default 0,
    disagreements              jsonb not null default '{}',    -- attribute name -> sorted other values that instances gave
    first_received_at          timestamptz not null,
    last_received_at           timestamptz not null,
    completed_at               timestamptz                     -- null while images may still be arriving
) with (fillfactor = 80);
create index study_accession on archive.study (upper(btrim(accession_number)) text_pattern_ops)
    where accession_number is not null;
create index study_patient on archive.study (patient_id, study_date desc);
create index study_patient_upper on archive.study (upper(patient_id));
create index study_date on archive.study (study_date desc nulls last, study_time desc nulls last, study_key desc);
create index study_name on archive.study (patient_name_normalised text_pattern_ops);
create index study_received on archive.study (first_received_at desc, study_key desc);
-- By key and not by time: an index on a column that every batch changes would make every change touch all indexes.
create index study_incomplete on archive.study (study_key) where completed_at is null;

create table archive.series (
    series_key               bigint generated always as identity primary key,
    study_key                bigint not null references archive.study,
    series_instance_uid      text not null,
    modality                 text,
    series_number            integer,
    series_description       text,
    series_date              date,
    series_time              time,
    body_part_examined       text,
    laterality               text,
    station_name             text,
    manufacturer             text,
    manufacturer_model_name  text,
    protocol_name            text,
    performed_procedure_step_start_date date,
    performed_procedure_step_start_time time,
    number_of_instances      integer not null default 0,
    first_received_at        timestamptz not null,
    last_received_at         timestamptz not null,
    metadata_blob_key        text,                   -- DICOM JSON of the whole series
    metadata_instances       integer not null default 0,       -- how many instances that object describes
    -- A Series Instance UID that is used in two studies is a fault of its maker and no reason to refuse either.
    constraint series_in_study unique (study_key, series_instance_uid)
) with (fillfactor = 80);
create index series_uid on archive.series (series_instance_uid);
create index series_metadata on archive.series (metadata_blob_key) where metadata_blob_key is not null;

create table archive.instance (
    instance_key        bigint generated always as identity primary key,
    series_key          bigint not null references archive.series,
    sop_instance_uid    text not null unique,
    sop_class_uid       text not null,
    transfer_syntax_uid text not null,
    instance_number     integer,
    rows                integer,
    columns             integer,
    bits_allocated      integer,
    number_of_frames    integer,
    blob_key            text not null,
    size_bytes          bigint not null,
    sha256              bytea not null,
    dataset_offset      bigint not null,
    pixel_data_offset   bigint,
    frame_ranges        bytea,                       -- packed pairs of offset and length in the blob
    received_at         timestamptz not null,
    calling_ae_title    text not null
);
create index instance_series on archive.instance (series_key, instance_number);
create index instance_blob on archive.instance (blob_key);

-- Different bytes under a SOP Instance UID that is known: kept, and shown to a person.
create table archive.conflicting_instance (
    conflict_key                 bigint generated always as identity primary key,
    sop_instance_uid             text not null,
    study_instance_uid           text not null,      -- of the instance that was there first
    asserted_study_instance_uid  text not null,      -- of the one that is kept beside it
    asserted_series_instance_uid text not null,
    sop_class_uid                text not null,
    transfer_syntax_uid          text not null,
    blob_key                     text not null,
    size_bytes                   bigint not null,
    sha256                       bytea not null,
    dataset_offset               bigint not null,
    received_at                  timestamptz not null,
    calling_ae_title             text not null,
    constraint conflicting_once unique (sop_instance_uid, sha256)
);
create index conflicting_study on archive.conflicting_instance (study_instance_uid);
create index conflicting_blob on archive.conflicting_instance (blob_key);

create schema reconcile;

-- Accession numbers are compared without surrounding blanks and in upper case.
create index imaging_order_accession_normalised on orders.imaging_order (upper(btrim(accession_number)) text_pattern_ops);

-- One row per study that was looked at: its lock orders all decisions about the study.
create table reconcile.study (
    study_instance_uid text primary key,
    evaluated_at       timestamptz not null
);

create table reconcile.link (
    study_instance_uid text primary key,
    accession_number   text not null,
    order_key          bigint not null,
    method             text not null check (method in ('study_instance_uid', 'accession_number_and_patient', 'person')),
    reason             text not null,
    linked_at          timestamptz not null,
    linked_by          text not null
);
create index link_order on reconcile.link (order_key);
create index link_accession on reconcile.link (accession_number);

-- A person said that this study does not belong to this order.
create table reconcile.rejection (
    study_instance_uid text not null,
    order_key          bigint not null,
    rejected_at        timestamptz not null,
    rejected_by        text not null,
    primary key (study_instance_uid, order_key)
);

create table reconcile.reconciliation_case (
    case_key           bigint generated always as identity primary key,
    study_instance_uid text not null,
    kind               text not null check (kind in
        ('unmatched', 'ambiguous', 'patient_mismatch', 'conflicting_instance', 'inconsistent_study', 'order_cancelled')),
    state              text not null default 'open' check (state in ('open', 'resolved')),
    fingerprint        text not null,                -- what exactly it is about: decides whether a dismissed case is new
    reason             text not null,
    opened_at          timestamptz not null,
    resolved_at        timestamptz,
    resolved_by        text,                         -- user name, or 'system' when new facts settled it
    resolution         text,
    constraint resolved_when check ((state = 'resolved') = (resolved_at is not null))
);
create unique index case_open on reconcile.reconciliation_case (study_instance_uid, kind) where state = 'open';
create index case_open_age on reconcile.reconciliation_case (opened_at, case_key) where state = 'open';
create index case_study on reconcile.reconciliation_case (study_instance_uid);

create schema reporting;

create table reporting.report (
    report_id        text primary key,
    accession_number text not null,
    order_key        bigint not null,
    state            text not null check (state in ('draft', 'signed')),
    version          integer not null default 0,     -- of the newest signed text; 0 while nothing is signed
    draft_text       text,
    draft_revision   integer not null default 0,     -- counts the saves: two editors cannot overwrite each other unseen
    created_by       text not null,
    created_at       timestamptz not null,
    updated_by       text not null,
    updated_at       timestamptz not null,
    signed_at        timestamptz                     -- of the newest signed text
);
create unique index report_order on reporting.report (order_key);
create index report_accession on reporting.report (accession_number);
create index report_draft on reporting.report (updated_at) where state = 'draft';

create table reporting.report_version (
    report_id   text not null references reporting.report,
    version     integer not null check (version > 0),
    kind        text not null check (kind in ('final', 'addendum')),
    text        text not null,
    digest      bytea not null,                      -- SHA-256 of the digest before, the version, the signer and the text
    signed_by   text not null,
    signer_name text not null,
    signed_at   timestamptz not null,
    primary key (report_id, version)
);

create function reporting.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'a signed report is never changed: sign a new version'
        using errcode = 'integrity_constraint_violation', constraint = 'signed_text_is_final';
end $$;

create trigger refuse_change before update or delete on reporting.report_version
    for each row execute function reporting.refuse_change();
create trigger refuse_truncate before truncate on reporting.report_version
    for each statement execute function reporting.refuse_change();

create schema distribution;

-- One row per recipient that something was ever queued for.
create table distribution.destination (
    recipient    text primary key,
    paused_at    timestamptz,
    paused_by    text,
    pause_reason text
);

create table distribution.delivery (
    delivery_key     bigint generated always as identity primary key,
    report_id        text not null,
    version          integer not null,
    accession_number text not null,
    recipient        text not null references distribution.destination,
    state            text not null default 'queued' check (state in ('queued', 'sent', 'acknowledged', 'refused')),
    attempts         integer not null default 0,
    due_at           timestamptz not null,
    claimed_until    timestamptz,
    control_id       text,
    message          bytea,
    acknowledgement  bytea,
    queued_at        timestamptz not null,
    sent_at          timestamptz,                    -- when it was first written to a connection
    acknowledged_at  timestamptz,
    refused_at       timestamptz,
    failing_since    timestamptz,                    -- first of the failures since the last success or replay
    last_error       text,
    constraint delivery_once unique (report_id, version, recipient)
);
create index delivery_lane on distribution.delivery (recipient, delivery_key) where state in ('queued', 'sent');
create index delivery_refused on distribution.delivery (refused_at) where state = 'refused';
create index delivery_accession on distribution.delivery (accession_number);

create schema monitoring;

create table monitoring.alarm (
    alarm_key          bigint generated always as identity primary key,
    accession_number   text not null,                -- '' for a study that says none
    study_instance_uid text not null,                -- '' for an order; else the study that no order claims
    hop                text not null,
    reason             text not null,
    late_since         timestamptz not null,
    raised_at          timestamptz not null,
    cleared_at         timestamptz
);
create unique index alarm_raised on monitoring.alarm (accession_number, study_instance_uid, hop) where cleared_at is null;
create index alarm_exam on monitoring.alarm (accession_number);
