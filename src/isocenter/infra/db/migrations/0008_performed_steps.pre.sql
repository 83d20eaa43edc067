-- What the scanners did: Modality Performed Procedure Steps, and what follows from them for the scheduled ones.

-- A step's status is computed from these facts: what people and messages say, what the images say, what the scanners say.
alter table scheduling.scheduled_procedure_step
    add column waiting_status   text not null default 'SCHEDULED' check (waiting_status in ('SCHEDULED', 'ARRIVED', 'READY')),
    add column imaged_status    text check (imaged_status in ('STARTED', 'COMPLETED')),
    add column performed_status text check (performed_status in ('SCHEDULED', 'STARTED', 'COMPLETED', 'DISCONTINUED')),
    add column closed           boolean not null default false;  -- by its order: cancelled or discontinued for good
update scheduling.scheduled_procedure_step
   set waiting_status = case when status in ('ARRIVED', 'READY') then status else 'SCHEDULED' end,
       imaged_status  = case when status in ('STARTED', 'COMPLETED') then status end,
       closed         = status in ('CANCELLED', 'DISCONTINUED');
create index step_discontinued on scheduling.scheduled_procedure_step (step_key)
    where performed_status = 'DISCONTINUED' and not closed;

create table worklist.performed_procedure_step (
    performed_key                  bigint generated always as identity primary key,
    sop_instance_uid               text        not null unique,
    status                         text        not null check (status in ('IN PROGRESS', 'COMPLETED', 'DISCONTINUED')),
    performed_procedure_step_id    text        not null,
    performed_station_ae_title     text        not null,
    modality                       text        not null,
    patient_id                     text,
    patient_name                   text,
    started_at                     timestamptz not null,  -- as the scanner says
    ended_at                       timestamptz,
    discontinuation_reason_code    text,
    discontinuation_reason_scheme  text,
    discontinuation_reason_meaning text,
    attributes                     jsonb       not null,  -- all of them, in the DICOM JSON model
    peer                           text        not null,  -- who created it
    set_aside_at                   timestamptz,           -- a person had its exams booked again
    set_aside_by                   text,
    received_at                    timestamptz not null,
    updated_at                     timestamptz not null
);
create index performed_recent on worklist.performed_procedure_step (received_at desc, performed_key desc);
create index performed_open on worklist.performed_procedure_step (started_at) where status = 'IN PROGRESS';

-- The items of the Scheduled Step Attributes Sequence: what the scanner says that it was doing. '' where it said nothing.
create table worklist.scheduled_reference (
    performed_key               bigint not null references worklist.performed_procedure_step,
    position                    int    not null,
    study_instance_uid          text   not null,
    accession_number            text   not null,
    requested_procedure_id      text   not null,
    scheduled_procedure_step_id text   not null,
    primary key (performed_key, position)
);
create index scheduled_reference_study on worklist.scheduled_reference (study_instance_uid);
create index scheduled_reference_accession on worklist.scheduled_reference (upper(btrim(accession_number)))
    where accession_number <> '';

create table worklist.performed_series (
    performed_key       bigint  not null references worklist.performed_procedure_step,
    series_instance_uid text    not null,
    sop_instance_uids   text[]  not null,
    received            boolean not null default false,  -- all of them have been seen in the archive
    primary key (performed_key, series_instance_uid)
);
create index performed_series_missing on worklist.performed_series (performed_key) where not received;

-- Which scheduled steps are meant by which performed ones: computed from the above and the orders.
create table worklist.performance (
    step_key      bigint not null references scheduling.scheduled_procedure_step,
    performed_key bigint not null references worklist.performed_procedure_step,
    primary key (step_key, performed_key)
);
create index performance_performed on worklist.performance (performed_key);

alter table reconcile.reconciliation_case drop constraint reconciliation_case_kind_check;
alter table reconcile.reconciliation_case add constraint reconciliation_case_kind_check check (kind in
    ('unmatched', 'ambiguous', 'patient_mismatch', 'conflicting_instance', 'inconsistent_study', 'order_cancelled',
     'wrong_worklist_entry'));
