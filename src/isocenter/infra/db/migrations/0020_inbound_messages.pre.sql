-- What further HL7 messages say: orders on hold, replaced and parted into children; visits; appointments; reports and
-- values of other systems; and acknowledgements that go out on a connection of our own.

-- ------------------------------------------------------------------------------------------------ orders
alter table orders.imaging_order drop constraint imaging_order_state_check;
alter table orders.imaging_order add constraint imaging_order_state_check
    check (state in ('placed', 'held', 'in_progress', 'completed', 'cancelled', 'discontinued'));
alter table orders.imaging_order
    add column parent_key      bigint references orders.imaging_order,  -- it was parted from this one
    add column replaced_by_key bigint references orders.imaging_order;  -- done instead of it
create index imaging_order_parent on orders.imaging_order (parent_key) where parent_key is not null;
create index imaging_order_replaced_by on orders.imaging_order (replaced_by_key) where replaced_by_key is not null;

-- ------------------------------------------------------------------------------------------------ identity
-- One stay or appointment of a patient, as the registration tells it. Of each column the newest assertion holds.
create table identity.visit (
    visit_key           bigint generated always as identity primary key,
    assigning_authority text        not null,      -- '': unknown
    visit_number        text        not null check (visit_number <> ''),
    patient_key         bigint      not null references identity.patient,  -- as named: resolve by current_patient
    state               text        not null check (state in
        ('expected', 'present', 'on_leave', 'discharged', 'cancelled')),
    patient_class       text,
    location            text,
    prior_location      text,
    pending_location    text,
    attending_doctor_name text,
    admitted_at         timestamptz,
    discharged_at       timestamptz,
    source_peer         text        not null,
    said_at             jsonb       not null default '{}',
    asserted_at         timestamptz not null,
    updated_at          timestamptz not null,
    unique (visit_number, assigning_authority)
);
create index visit_patient on identity.visit (patient_key);

-- ------------------------------------------------------------------------------------------------ scheduling
-- An appointment of another scheduler's. What it says of time and place goes to the steps of its exams.
create table scheduling.appointment (
    appointment_key   bigint generated always as identity primary key,
    source_peer       text        not null,
    placer_appointment_id text    not null default '',
    filler_appointment_id text    not null default '',
    patient_key       bigint      references identity.patient,
    accession_numbers text[]      not null default '{}',  -- of its exams
    status            text        not null check (status in
        ('pending', 'booked', 'arrived', 'started', 'complete', 'cancelled', 'discontinued', 'deleted', 'noshow')),
    reason            text,
    description       text,
    start_at          timestamptz,
    duration_min      int         check (duration_min >= 0),
    location          text,
    said_at           jsonb       not null default '{}',
    asserted_at       timestamptz not null,
    updated_at        timestamptz not null,
    check (placer_appointment_id <> '' or filler_appointment_id <> '')
);
create unique index appointment_placer on scheduling.appointment (source_peer, placer_appointment_id)
    where placer_appointment_id <> '';
create unique index appointment_filler on scheduling.appointment (source_peer, filler_appointment_id)
    where filler_appointment_id <> '';
create index appointment_exams on scheduling.appointment using gin (accession_numbers);
create index appointment_patient on scheduling.appointment (patient_key);

-- ------------------------------------------------------------------------------------------------ reporting
-- Reports and documents that other systems wrote about our patients. A newer version stands beside the older one.
create table reporting.external_document (
    document_key     bigint generated always as identity primary key,
    source_peer      text        not null,
    document_id      text        not null,         -- the sender's filler order number, or document number
    version          int         not null check (version > 0),
    patient_key      bigint      not null references identity.patient,
    accession_number text,
    kind             text        not null,         -- what it is, for people
    status           text        not null check (status in ('preliminary', 'final', 'corrected', 'cancelled')),
    author_name      text,
    written_at       timestamptz,
    media_type       text        not null check (media_type in ('text/plain', 'application/pdf')),
    content          bytea       not null,
    digest           bytea       not null,         -- SHA-256 of status, media type and content
    asserted_at      timestamptz not null,
    received_at      timestamptz not null,
    unique (source_peer, document_id, version)
);
create index external_document_patient on reporting.external_document (patient_key, written_at desc);

-- Single values such as an eGFR. One row per observation of a patient: a correction takes the place of what it corrects.
create table reporting.observation (
    observation_key bigint generated always as identity primary key,
    source_peer     text        not null,
    order_number    text        not null,          -- OBR-3, or OBR-2
    code_value      text        not null,
    code_scheme     text        not null,
    sub_id          text        not null default '',
    code_meaning    text        not null,
    patient_key     bigint      not null references identity.patient,
    value           text        not null,
    unit            text        not null default '',
    reference_range text        not null default '',
    abnormal_flags  text        not null default '',
    status          text        not null check (status in ('preliminary', 'final', 'corrected', 'cancelled')),
    observed_at     timestamptz not null,
    asserted_at     timestamptz not null,
    received_at     timestamptz not null,
    unique (source_peer, order_number, code_value, code_scheme, sub_id)
);
create index observation_patient on reporting.observation (patient_key, observed_at desc);

-- ------------------------------------------------------------------------------------------------ peers
alter table peers.hl7_peer
    add column order_responses  boolean not null default false,  -- orders are answered by ORR, ORG, ORI instead of ACK
    add column sequence_numbers boolean not null default false;  -- MSH-13 is checked

-- The sequence number of the last message that was taken from a peer.
create table peers.sequence_number (
    peer       text        primary key,
    number     bigint      not null,
    updated_at timestamptz not null
);

-- Application acknowledgements of enhanced mode: they go out on our own connection, until they were taken.
create table peers.application_acknowledgement (
    acknowledgement_key bigint generated always as identity primary key,
    peer        text        not null,
    control_id  text        not null,              -- its MSH-10
    message     bytea       not null,
    attempts    int         not null default 0,
    due_at      timestamptz not null,
    created_at  timestamptz not null,
    sent_at     timestamptz,
    given_up_at timestamptz,
    last_error  text
);
create index application_acknowledgement_due on peers.application_acknowledgement (due_at)
    where sent_at is null and given_up_at is null;
