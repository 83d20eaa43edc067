-- Images that came under a wrong study and belong to another one.

-- One decision that some images of a study are of another. The objects stay as they came: the images that were meant
-- are rejected as they are, and shown under new UIDs in the other study for as long as the decision holds.
create table archive.split (
    split_key             bigint generated always as identity primary key,
    study_instance_uid    text        not null,      -- that the images came with
    to_study_instance_uid text        not null,
    joins                 boolean     not null,      -- the other study had images of its own: what it says, these say
    reason                text        not null,
    split_by              text        not null,
    split_at              timestamptz not null,
    undone_at             timestamptz,
    undone_by             text,
    said                  jsonb       not null default '{}',  -- by tag, when it was undone: what the images had said
    constraint split_elsewhere check (study_instance_uid <> to_study_instance_uid)
);
create index split_from on archive.split (study_instance_uid, split_key);
create index split_to on archive.split (to_study_instance_uid, split_key);

create table archive.split_series (
    split_key              bigint  not null references archive.split,
    series_instance_uid    text    not null,
    to_series_instance_uid text    not null,
    is_whole               boolean not null,         -- images of the series that come later follow
    primary key (split_key, series_instance_uid)
);

create table archive.split_instance (
    sop_instance_uid          text primary key,      -- as every way out says it
    original_sop_instance_uid text   not null,
    split_key                 bigint not null references archive.split
);
create index split_instance_of on archive.split_instance (split_key);
create index split_instance_original on archive.split_instance (original_sop_instance_uid);

alter table reconcile.decision drop constraint decision_kind_check;
alter table reconcile.decision add constraint decision_kind_check check (
    kind in ('link', 'new_order', 'move_patient', 'undo', 'hold', 'reject', 'dismiss', 'rule', 'split'));
alter table reconcile.decision add column split_key bigint references archive.split;
