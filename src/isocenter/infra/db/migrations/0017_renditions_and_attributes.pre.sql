-- Two things that are made from images, in the background: their HTJ2K renditions, and what an administrator had indexed.

-- The same pixels as HTJ2K (RPCL), in a blob beside the original. It may be thrown away at any time and made again.
create table archive.rendition (
    instance_key      bigint primary key references archive.instance on delete cascade,
    source_sha256     bytea not null,                -- of the file it was made of: it says nothing of any other
    blob_key          text,                          -- null when none can or need be made
    size_bytes        bigint not null default 0,
    sha256            bytea,
    frame_ranges      bytea,                         -- packed pairs of offset and length in the blob
    obstacle          text,                          -- why there is none
    made_at           timestamptz not null,
    constraint made_or_not check ((blob_key is null) = (obstacle is not null))
);
create index rendition_blob on archive.rendition (blob_key) where blob_key is not null;

-- Series whose instances are to be looked at. A row goes when all have been.
create table archive.rendition_due (
    series_key    bigint primary key references archive.series on delete cascade,
    due_at        timestamptz not null,
    claimed_until timestamptz                        -- a worker is at it until then
);
create index rendition_due_order on archive.rendition_due (due_at, series_key);

create or replace view archive.named_blob as
    select blob_key from archive.instance
    union all
    select blob_key from archive.conflicting_instance
    union all
    select copy_blob_key from archive.object_copy
    union all
    select metadata_blob_key from archive.series where metadata_blob_key is not null
    union all
    select blob_key from archive.rendition where blob_key is not null;

-- Attributes that searches match and return although the tables of studies, series and instances have no column for them.
create table archive.indexed_attribute (
    attribute_key   bigint generated always as identity primary key,
    tag             bigint not null,                 -- of a private one without its block: (0009,xx02) is 0x00090002
    private_creator text not null default '',
    name            text not null,
    vr              text not null,
    level           text not null check (level in ('study', 'series', 'instance')),
    state           text not null default 'building' check (state in ('building', 'ready')),
    added_at        timestamptz not null,
    added_by        text not null,
    constraint indexed_once unique (tag, private_creator)
);

-- One row for each value. A study's and a series' are those of its first instance that has any.
create table archive.attribute_value (
    attribute_key bigint not null references archive.indexed_attribute on delete cascade,
    series_key    bigint not null references archive.series on delete cascade,   -- where it was read
    entity_key    bigint not null,                   -- of the study, series or instance
    position      integer not null,                  -- from 1
    value         text not null,                     -- as it is returned
    matched       text,                              -- as it is compared: text of names in their normal form
    phonetic      text,                              -- of names
    number        numeric,
    day           date,
    time_of_day   time,
    moment        timestamptz,
    primary key (attribute_key, entity_key, series_key, position)
);
create index attribute_value_series on archive.attribute_value (series_key);
create index attribute_value_matched on archive.attribute_value (attribute_key, matched text_pattern_ops)
    where matched is not null;
create index attribute_value_number on archive.attribute_value (attribute_key, number) where number is not null;
create index attribute_value_day on archive.attribute_value (attribute_key, day) where day is not null;

-- Going through everything that is stored, for the attributes that were added.
create table archive.reindex (
    reindex_key    bigint generated always as identity primary key,
    state          text not null default 'running' check (state in ('running', 'finished', 'cancelled')),
    started_at     timestamptz not null,
    started_by     text not null,
    ended_at       timestamptz,
    ended_by       text,
    claimed_until  timestamptz,                      -- a worker is at the next portion until then
    after_key      bigint not null default 0,        -- of the last series that was read
    series_total   bigint not null,
    series         bigint not null default 0,
    instances      bigint not null default 0,
    errors         bigint not null default 0
);
create unique index reindex_running on archive.reindex ((state = 'running')) where state = 'running';

-- What could not be indexed: of each object, and attribute where it is about one, why.
create table archive.reindex_error (
    error_key           bigint generated always as identity primary key,
    reindex_key         bigint not null references archive.reindex on delete cascade,
    study_instance_uid  text not null,
    series_instance_uid text not null,
    sop_instance_uid    text not null,               -- '' when it is about the whole series
    attribute           text not null,               -- '' when it is about the whole object
    detail              text not null
);
create index reindex_error_of on archive.reindex_error (reindex_key, error_key);
