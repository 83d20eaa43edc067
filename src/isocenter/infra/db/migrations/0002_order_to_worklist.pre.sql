-- From registration to the scanner's worklist: who may act, what was done, who the peers are, who the patient is, what was
-- ordered and when it is to be done. One schema per stage. Times are timestamptz; keys are never shown to a peer.

-- ------------------------------------------------------------------------------------------------ access
create schema access;

create table access.user_account (
    user_key            bigint generated always as identity primary key,
    user_name           text        not null,
    display_name        text        not null,
    roles               text[]      not null
        check (cardinality(roles) > 0 and roles <@ array['administrator', 'radiologist', 'technologist', 'front_desk']),
    password_hash       text        not null,
    created_at          timestamptz not null,
    password_changed_at timestamptz not null,
    disabled_at         timestamptz
);
create unique index user_account_name on access.user_account (lower(user_name));

create table access.session (
    session_digest bytea primary key,              -- SHA-256 of the secret that the browser holds
    user_key       bigint      not null references access.user_account,
    source         text        not null,
    created_at     timestamptz not null,
    last_seen_at   timestamptz not null,
    expires_at     timestamptz not null
);
create index session_owner on access.session (user_key);
create index session_expiry on access.session (expires_at);

create table access.token (
    token_key    bigint generated always as identity primary key,
    token_digest bytea       not null unique,
    user_key     bigint      not null references access.user_account,
    scope        text[]      not null,             -- actions it is limited to; empty: all that its user may do
    created_at   timestamptz not null,
    expires_at   timestamptz not null,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
create index token_owner on access.token (user_key);

create table access.sign_in_failure (
    user_name      text        not null,           -- lower case, as typed, known or not
    source         text        not null,
    failures       int         not null,
    last_failed_at timestamptz not null,
    primary key (user_name, source)
);
create index sign_in_failure_age on access.sign_in_failure (last_failed_at);

-- ------------------------------------------------------------------------------------------------ audit
create schema audit;

create table audit.record (
    record_key      bigint generated always as identity primary key,
    transaction_id  xid8        not null default pg_current_xact_id(),
    recorded_at     timestamptz not null,
    action          text        not null,          -- 'patient.register'
    outcome         text        not null check (outcome in ('success', 'refused', 'failure')),
    actor           text        not null,
    actor_kind      text        not null,
    source          text        not null,
    object_type     text        not null,
    object_id       text        not null,
    patient_id      text,
    detail          jsonb       not null default '{}',
    chain_position  bigint unique,                 -- the sealing columns: set once, together
    previous_digest bytea,
    digest          bytea,
    check ((chain_position is null) = (digest is null) and (chain_position is null) = (previous_digest is null))
);
comment on column audit.record.digest is 'SHA-256 over previous_digest and every column that is not about sealing';
create index record_unsealed on audit.record (record_key) where chain_position is null;
create index record_time on audit.record (recorded_at);
create index record_patient on audit.record (patient_id, recorded_at) where patient_id is not null;
create index record_object on audit.record (object_type, object_id, recorded_at);
create index record_actor on audit.record (actor, recorded_at);

create function audit.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if old.chain_position is null and new.chain_position is not null
           and (to_jsonb(new) - '{chain_position,previous_digest,digest}'::text[])
             = (to_jsonb(old) - '{chain_position,previous_digest,digest}'::text[]) then
            return new;
        end if;
    end if;
    raise exception 'audit records are neither changed nor deleted' using errcode = 'integrity_constraint_violation';
end $$;

create trigger refuse_change before update or delete on audit.record
    for each row execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.record
    for each statement execute function audit.refuse_change();

-- ------------------------------------------------------------------------------------------------ peers
create schema peers;

create table peers.dicom_peer (
    name     text primary key,
    ae_title text    not null unique check (length(ae_title) between 1 and 16),
    host     text    not null,                     -- a host name, an address, or a network as address/bits
    port     int     not null check (port between 1 and 65535),
    allow    text[]  not null check (allow <@ array['store', 'find', 'move', 'get', 'worklist', 'mpps']),
    tls      boolean not null default false,
    enabled  boolean not null default true,
    added_at timestamptz not null
);

create table peers.hl7_peer (
    name                text primary key,
    host                text    not null,
    port                int     check (port between 1 and 65535),       -- null: it only sends to us
    send                text[]  not null check (send <@ array['oru', 'orm', 'adt']),
    receive             text[]  not null check (receive <@ array['adt', 'orm', 'oru', 'siu']),
    application         text,                      -- its MSH-3; null: any
    facility            text,
    assigning_authority text    not null default '',  -- of patient identifiers that it sends without one
    version             text    not null default '2.5.1',
    character_set       text    not null default 'UNICODE UTF-8',
    ack_timeout_s       double precision not null default 30 check (ack_timeout_s > 0),
    result_statuses     text[]  not null default array['P', 'F', 'C'],  -- OBR-25 values it takes
    tls                 boolean not null default false,
    enabled             boolean not null default true,
    added_at            timestamptz not null,
    check (port is not null or cardinality(send) = 0)
);

create table peers.pending_caller (
    pending_key   bigint generated always as identity primary key,
    protocol      text        not null check (protocol in ('dicom', 'hl7')),
    caller        text        not null,            -- calling AE title or MSH-3
    address       text        not null,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    attempts      int         not null default 1,
    dismissed_at  timestamptz,
    unique (protocol, caller, address)
);
create index pending_caller_recent on peers.pending_caller (last_seen_at);

create table peers.message (
    message_key          bigint generated always as identity primary key,
    direction            text        not null check (direction in ('in', 'out')),
    peer                 text        not null,
    control_id           text        not null,     -- MSH-10
    message_type         text        not null,     -- 'ORM^O01'
    body_digest          bytea       not null,     -- SHA-256 of the message without MSH-7 and MSH-10
    raw                  bytea       not null,     -- as it crossed the wire
    acknowledgement      bytea,
    acknowledgement_code text,
    patient_id           text,
    accession_number     text,
    effect               text        not null default '',
    error                text,
    received_at          timestamptz not null
);
-- The message is the body; TOAST compression of short HL7 costs more than it saves on the way in.
alter table peers.message alter column raw set storage external;
create unique index message_once on peers.message (peer, control_id, body_digest) where direction = 'in';
create index message_received on peers.message (received_at);
create index message_control_id on peers.message (control_id);
create index message_accession_number on peers.message (accession_number) where accession_number is not null;
create index message_patient_id on peers.message (patient_id) where patient_id is not null;
create index message_peer on peers.message (peer, received_at);
create index message_error on peers.message (received_at) where error is not null;

-- ------------------------------------------------------------------------------------------------ identity
create schema identity;

create table identity.patient (
    patient_key     bigint generated by default as identity primary key,
    person_name     text,                          -- DICOM PN in caret form; null: never said; '': said to be empty
    name_normalised text        not null default '',
    name_phonetic   text        not null default '',
    birth_date      date,
    sex             text        check (sex in ('M', 'F', 'O', '')),
    address         text,
    phone           text,
    survivor_key    bigint      references identity.patient,  -- whom this patient's merges lead to; null: nobody
    asserted_at     timestamptz not null,          -- the newest assertion about this patient
    said_at         jsonb       not null default '{}',  -- per column: microseconds since 1970 of the assertion that set it
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    check (survivor_key <> patient_key)
);
create index patient_survivor on identity.patient (survivor_key) where survivor_key is not null;
create index patient_name on identity.patient (name_normalised text_pattern_ops);
create index patient_phonetic on identity.patient (name_phonetic);

create table identity.patient_identifier (
    assigning_authority text   not null,           -- '': unknown
    value               text   not null check (value <> ''),
    type_code           text   not null default 'MR',
    patient_key         bigint not null references identity.patient,
    primary key (assigning_authority, value)
);
create index patient_identifier_value on identity.patient_identifier (value);
create index patient_identifier_patient on identity.patient_identifier (patient_key);

-- "prior is the same person as survivor", as asserted. patient.survivor_key is computed from these rows and nothing else.
create table identity.merge (
    merge_key    bigint generated always as identity primary key,
    survivor_key bigint      not null references identity.patient,
    prior_key    bigint      not null references identity.patient,
    asserted_at  timestamptz not null,
    merged_at    timestamptz not null,
    undone_at    timestamptz,
    actor        text        not null,
    unique (prior_key, survivor_key),
    check (survivor_key <> prior_key)
);
create index merge_survivor on identity.merge (survivor_key);

-- Every patient row, also a merged one, with the person that it stands for now and the identifier to show for that person.
create view identity.current_patient as
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
        order by candidate.type_code <> 'MR', candidate.assigning_authority = '',
                 candidate.assigning_authority, candidate.value
        limit 1) identifier on true;

-- ------------------------------------------------------------------------------------------------ orders
create schema orders;

create sequence orders.accession_number_issue;

create table orders.imaging_order (
    order_key               bigint generated by default as identity primary key,
    placer_order_number     text,
    placer_namespace        text        not null default '',
    filler_order_number     text,
    filler_namespace        text        not null default '',
    accession_number        text        not null check (length(accession_number) between 1 and 16),
    accession_issuer        text        not null default '',
    patient_key             bigint      not null references identity.patient,  -- as named by the order: resolve by current_patient
    state                   text        not null default 'placed'
        check (state in ('placed', 'in_progress', 'completed', 'cancelled', 'discontinued')),
    state_reason            text,
    state_changed_at        timestamptz not null,
    priority                text        check (priority in ('STAT', 'HIGH', 'ROUTINE', 'MEDIUM', 'LOW')),
    ordering_provider_name  text,
    referring_physician_name text,
    clinical_information    text,
    reason_for_study        text,
    danger_code             text,
    admission_id            text,
    patient_class           text,
    location                text,
    transport_arrangements  text,
    special_needs           text,
    allergies               text,
    pregnancy_status        smallint    check (pregnancy_status between 1 and 4),
    patient_weight_kg       double precision,
    ordered_at              timestamptz,
    source_peer             text        not null,
    placed_at               timestamptz not null,  -- when it became known here
    asserted_at             timestamptz not null,
    said_at                 jsonb       not null default '{}',
    updated_at              timestamptz not null
);
-- One accession number is one exam for everyone who has only the number: images, reports, people.
create unique index imaging_order_accession_number on orders.imaging_order (accession_number);
create unique index imaging_order_placer on orders.imaging_order (placer_order_number, placer_namespace)
    where placer_order_number is not null;
create unique index imaging_order_filler on orders.imaging_order (filler_order_number, filler_namespace)
    where filler_order_number is not null;
create index imaging_order_patient on orders.imaging_order (patient_key);
create index imaging_order_state on orders.imaging_order (state, placed_at);
create index imaging_order_placed on orders.imaging_order (placed_at);

create table orders.requested_procedure (
    procedure_key             bigint generated by default as identity primary key,
    order_key                 bigint  not null references orders.imaging_order,
    requested_procedure_id    text    not null check (length(requested_procedure_id) between 1 and 16),
    study_instance_uid        text    not null check (length(study_instance_uid) between 1 and 64),
    study_instance_uid_issued boolean not null,    -- made here; one that was said replaces it until the exam has started
    code_value                text,
    code_scheme               text,
    code_meaning              text,
    description               text,
    laterality                text,
    state                     text    not null default 'placed'
        check (state in ('placed', 'in_progress', 'completed', 'cancelled', 'discontinued')),
    said_at                   jsonb   not null default '{}',
    unique (order_key, requested_procedure_id)
);
create unique index requested_procedure_study on orders.requested_procedure (study_instance_uid);

-- ------------------------------------------------------------------------------------------------ scheduling
create schema scheduling;

create table scheduling.scheduled_procedure_step (
    step_key                    bigint generated by default as identity primary key,
    procedure_key               bigint      not null references orders.requested_procedure,
    accession_number            text        not null,
    scheduled_procedure_step_id text        not null check (length(scheduled_procedure_step_id) between 1 and 16),
    modality                    text        not null default '',
    station_ae_titles           text[]      not null default '{}',
    station_name                text,
    location                    text,
    start_at                    timestamptz not null,
    performing_physician_name   text,
    performing_physician_normalised text        not null default '',
    description                 text,
    pre_medication              text,
    requested_contrast_agent    text,
    protocol_codes              jsonb       not null default '[]',  -- [{"value", "scheme", "meaning", "version"}]
    status                      text        not null default 'SCHEDULED' check (status in
        ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED', 'COMPLETED', 'DISCONTINUED', 'CANCELLED')),
    status_changed_at           timestamptz not null,
    said_at                     jsonb       not null default '{}',
    booked_at                   timestamptz not null,
    updated_at                  timestamptz not null,
    unique (procedure_key, scheduled_procedure_step_id)
);
create index step_accession_number on scheduling.scheduled_procedure_step (accession_number);
-- What a scanner may still be asked to do: small however long the history grows.
create index step_open on scheduling.scheduled_procedure_step (start_at)
    where status in ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED');
create index step_start on scheduling.scheduled_procedure_step (start_at);

-- ------------------------------------------------------------------------------------------------ worklist
create schema worklist;

create table worklist.entry (
    step_key         bigint primary key references scheduling.scheduled_procedure_step,
    accession_number text        not null,
    published_at     timestamptz not null,
    withdrawn_at     timestamptz,
    first_queried_at timestamptz,
    last_queried_at  timestamptz,
    query_count      int         not null default 0,
    queried_by       text[]      not null default '{}'  -- AE titles that were given this entry
);
create index entry_accession_number on worklist.entry (accession_number);
