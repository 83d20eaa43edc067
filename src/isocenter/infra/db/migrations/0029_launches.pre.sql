-- Codes that open the workspace once from another system, and what a session so opened is limited to.
create table access.launch_code (
    code_digest   bytea primary key,               -- SHA-256 of what the address carries, or of a signed address
    user_key      bigint      not null references access.user_account,
    issued_by     text        not null,
    created_at    timestamptz not null,
    expires_at    timestamptz not null,
    redeemed_at   timestamptz,
    target        text        not null,            -- page of ours that it opens
    scope         text[]      not null,            -- actions of the session; empty: all that its user may do
    session_s     integer     not null,            -- how long the session lasts at most
    on_behalf_of  text        not null,            -- who sits there, as the issuer says; empty: not said
    frame_origin  text,                            -- whose frame shows it; null: none
    study_instance_uids text[],                    -- the studies and exams that it is confined to; null: not confined
    accession_numbers   text[]
);
create index launch_code_owner on access.launch_code (user_key);
create index launch_code_expiry on access.launch_code (expires_at);

alter table access.session
    add column scope               text[] not null default '{}',
    add column ends_at             timestamptz,    -- use keeps it open until then at most; null: the rule for all
    add column on_behalf_of        text   not null default '',
    add column frame_origin        text,
    add column study_instance_uids text[],
    add column accession_numbers   text[];
