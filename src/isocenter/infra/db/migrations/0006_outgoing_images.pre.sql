-- Images on their way out: rules, the queue of each destination, and the storage commitments that peers ask for.

create table distribution.route (
    route_name          text primary key,
    recipient           text        not null,        -- name of a DICOM peer
    enabled             boolean     not null default true,
    -- Any of the patterns of a condition must match (* and ?, letter case aside); an empty condition always does.
    calling_ae_titles   text[]      not null default '{}',
    modalities          text[]      not null default '{}',
    study_descriptions  text[]      not null default '{}',
    series_descriptions text[]      not null default '{}',
    referring_physicians text[]     not null default '{}',
    body_parts          text[]      not null default '{}',
    time_from           time,                        -- of arrival, where the department lives; may be after time_to
    time_to             time,
    moment              text        not null check (moment in ('received', 'complete')),
    priority            text        not null check (priority in ('high', 'medium', 'low')),
    transfer_syntax_uid text,                        -- to compress with; null: as stored
    sends_images        boolean     not null,
    notifies            boolean     not null,        -- Instance Availability Notification when the study is complete
    wants_commitment    boolean     not null,        -- ask the destination for storage commitment afterwards
    created_at          timestamptz not null,
    created_by          text        not null,
    check ((time_from is null) = (time_to is null)),
    check (sends_images or notifies)
);

-- One row per DICOM peer that images or notifications were ever queued for.
create table distribution.image_destination (
    recipient    text primary key,
    paused_at    timestamptz,
    paused_by    text,
    pause_reason text
);

-- Instances of one study on their way to one DICOM peer: those of the named series whose keys lie in (after_key,
-- through_key]. Keys of one study are given in the order of their commits, so late images always lie behind.
create table distribution.transfer (
    -- Of the same sequence as those of reports: one key names one delivery of whatever kind.
    delivery_key         bigint primary key default nextval('distribution.delivery_delivery_key_seq'),
    kind                 text        not null check (kind in ('images', 'availability')),
    route_name           text        not null,       -- '' when a person asked for it
    recipient            text        not null references distribution.image_destination,
    study_instance_uid   text        not null,
    accession_number     text        not null,       -- '' for a study that says none
    series_instance_uids text[]      not null,
    after_key            bigint      not null,
    through_key          bigint      not null,
    sent_key             bigint      not null,       -- everything up to here was sent
    instances            integer     not null,
    instances_sent       integer     not null default 0,
    instances_failed     integer     not null default 0,
    failures             jsonb       not null default '[]',  -- the first of them: [{"sop_instance_uid", "reason"}]
    breaks               integer     not null default 0,     -- how often the association broke behind sent_key
    urgency              smallint    not null,       -- lower goes first
    transfer_syntax_uid  text,
    wants_commitment     boolean     not null,
    state                text        not null default 'queued' check (state in ('queued', 'sent', 'acknowledged', 'refused')),
    attempts             integer     not null default 0,
    due_at               timestamptz not null,
    claimed_until        timestamptz,
    queued_at            timestamptz not null,
    sent_at              timestamptz,                -- when the first instance was taken
    acknowledged_at      timestamptz,
    refused_at           timestamptz,
    failing_since        timestamptz,
    last_error           text,
    -- The destination's storage commitment, when it is asked for: its promise to keep what it took.
    commitment           text        check (commitment in ('due', 'requested', 'committed', 'failed')),
    transaction_uid      text unique,
    commitment_due_at    timestamptz,
    commitment_attempts  integer     not null default 0,
    commitment_at        timestamptz,                -- when it was given or refused
    commitment_error     text,
    constraint transfer_once unique (kind, route_name, recipient, study_instance_uid, after_key, queued_at)
);
create index transfer_lane on distribution.transfer (recipient, urgency, delivery_key) where state in ('queued', 'sent');
create index transfer_refused on distribution.transfer (refused_at) where state = 'refused';
create index transfer_accession on distribution.transfer (accession_number);
create index transfer_study on distribution.transfer (study_instance_uid);
create index transfer_progress on distribution.transfer (route_name, recipient, study_instance_uid, through_key desc);
create index transfer_commitment on distribution.transfer (commitment_due_at) where commitment in ('due', 'requested');

-- What peers asked us to commit to, and what became of it. The arrays belong together, one place per instance.
create table distribution.commitment (
    commitment_key    bigint generated always as identity primary key,
    peer              text        not null,
    address           text        not null,          -- that it called from
    transaction_uid   text        not null check (length(transaction_uid) between 1 and 64),
    request_digest    bytea       not null,          -- of the instances asked for: tells a repetition from a reused UID
    sop_class_uids    text[]      not null,
    sop_instance_uids text[]      not null,
    failure_reasons   integer[],                     -- 0 for each instance that is safe; null while not decided
    duplicate         boolean     not null,          -- the transaction UID was in use already
    state             text        not null default 'requested' check (state in ('requested', 'decided', 'reported', 'refused')),
    attempts          integer     not null default 0,
    due_at            timestamptz not null,
    claimed_until     timestamptz,
    held_until        timestamptz,                   -- until then the association that asked may be answered on
    requested_at      timestamptz not null,
    decided_at        timestamptz,
    reported_at       timestamptz,
    failing_since     timestamptz,
    last_error        text
);
create unique index commitment_transaction on distribution.commitment (transaction_uid) where not duplicate;
create index commitment_open on distribution.commitment (due_at) where state in ('requested', 'decided');
create index commitment_recent on distribution.commitment (requested_at desc);
