-- The HL7 workbench: messages found by their words, processed again, counted by the hour; peers whose
-- configuration has versions, and messages that an interface must always understand the same way.

-- A message that a person had processed again, or sent by hand, says of which message, why and by whom.
alter table peers.message add column replay_of bigint;
alter table peers.message add column reason text;
alter table peers.message add column requested_by text;

-- Made behind the interface's back by the worker, so that an acknowledgement does not wait for it.
create table peers.message_words (
    message_key bigint primary key references peers.message (message_key) on delete cascade,
    words       tsvector not null                   -- made by standards/hl7v2/words: no dictionary, no positions
);
create index message_words_found on peers.message_words using gin (words);

create table peers.replay (
    replay_key   bigint generated always as identity primary key,
    message_key  bigint      not null references peers.message (message_key) on delete cascade,
    edited       bytea,                             -- null: as it was
    reason       text        not null check (reason <> ''),
    requested_by text        not null,
    requested_at timestamptz not null,
    due_at       timestamptz not null,
    done_at      timestamptz,
    canceled_at  timestamptz,
    result_key   bigint references peers.message (message_key) on delete set null
);
create index replay_due on peers.replay (due_at) where done_at is null and canceled_at is null;
create index replay_message on peers.replay (message_key);

create table peers.traffic (
    peer      text        not null,
    direction text        not null check (direction in ('in', 'out')),
    hour      timestamptz not null,                 -- its beginning
    messages  int         not null,
    errors    int         not null,
    primary key (peer, direction, hour)
);

create table peers.hl7_peer_version (
    name         text        not null,
    version      int         not null check (version > 0),
    description  jsonb       not null,              -- the peer as isocenter.domain.peers.model.Hl7Peer has it
    note         text        not null default '',
    made_by      text        not null,
    made_at      timestamptz not null,
    promoted_at  timestamptz,                       -- null: a draft
    primary key (name, version)
);

create table peers.golden_message (
    golden_key bigint generated always as identity primary key,
    peer       text        not null,
    title      text        not null,
    raw        bytea       not null,
    expected   jsonb       not null,                -- what was understood: answer, and facts by their path
    kept_by    text        not null,
    kept_at    timestamptz not null
);
create index golden_message_peer on peers.golden_message (peer);
