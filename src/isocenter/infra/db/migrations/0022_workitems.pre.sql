-- Unified Procedure Steps: workitems, who is told of them, and how far web subscribers have been told.

alter table peers.dicom_peer drop constraint dicom_peer_allow_check;
alter table peers.dicom_peer add constraint dicom_peer_allow_check check
    (allow <@ array['store', 'find', 'move', 'get', 'worklist', 'mpps', 'ups']);

create table worklist.workitem (
    workitem_key            bigint generated always as identity primary key,
    sop_instance_uid        text        not null unique,
    state                   text        not null check (state in ('SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'CANCELED')),
    transaction_uid         text,                    -- the lock of whoever claimed it: never told to anybody
    attributes              jsonb       not null,    -- all others, in the DICOM JSON model
    patient_name_normalised text        not null,    -- what can be matched and is no plain text in the attributes
    patient_name_phonetic   text        not null,
    patient_birth_date      date,
    start_at                timestamptz,
    completion_expected_at  timestamptz,
    expires_at              timestamptz,
    created_by              text        not null,
    created_at              timestamptz not null,
    updated_at              timestamptz not null,
    removed_at              timestamptz,             -- its attributes are gone; its UID is never used again
    check ((state = 'SCHEDULED') = (transaction_uid is null) or removed_at is not null)
);
create index workitem_start on worklist.workitem (start_at, workitem_key) where removed_at is null;
create index workitem_state on worklist.workitem (state, start_at, workitem_key) where removed_at is null;
create index workitem_patient on worklist.workitem ((attributes -> '00100020' -> 'Value' ->> 0)) where removed_at is null;
create index workitem_final on worklist.workitem (updated_at)
    where removed_at is null and state in ('COMPLETED', 'CANCELED');

-- An application entity hears of new workitems: of all, or of those that fit a filter. One of each at most.
create table worklist.worklist_subscription (
    ae_title      text        not null check (length(ae_title) between 1 and 16),
    filtered      boolean     not null,
    filter        jsonb       not null,              -- matching keys, in the DICOM JSON model
    channel       text        not null check (channel in ('dimse', 'web')),
    deletion_lock boolean     not null,
    subscribed_by text        not null,
    subscribed_at timestamptz not null,
    primary key (ae_title, filtered)
);

-- An application entity hears of one workitem.
create table worklist.workitem_subscription (
    workitem_key  bigint      not null references worklist.workitem,
    ae_title      text        not null check (length(ae_title) between 1 and 16),
    channel       text        not null check (channel in ('dimse', 'web')),
    origin        text        not null check (origin in ('workitem', 'worklist', 'filter')),
    deletion_lock boolean     not null,
    subscribed_at timestamptz not null,
    primary key (workitem_key, ae_title)
);
create index workitem_subscription_ae on worklist.workitem_subscription (ae_title);

-- The last event that was sent to a web subscriber, from which it goes on when it comes back.
create table worklist.event_channel (
    ae_title   text        primary key,
    event_id   bigint      not null,
    updated_at timestamptz not null
);
