-- Many small objects of a series in one blob. The key of a member is the pack's, '@', offset, '+', size: so the keys
-- themselves tell which packs are named, and no table could disagree with them.
create index instance_pack on archive.instance (split_part(blob_key, '@', 1)) where strpos(blob_key, '@') > 0;
create index conflicting_pack on archive.conflicting_instance (split_part(blob_key, '@', 1))
    where strpos(blob_key, '@') > 0;
create index copy_pack on archive.object_copy (split_part(copy_blob_key, '@', 1)) where strpos(copy_blob_key, '@') > 0;

-- Packs as they were written: what the state of the storage counts, and what keeps a pack until its members are named.
create table archive.pack (
    blob_key     text primary key,
    members      integer not null,
    size_bytes   bigint not null,
    written_at   timestamptz not null,
    exchanged_at timestamptz                         -- since then its members are named; null: it is being checked
);
create index pack_unchecked on archive.pack (written_at) where exchanged_at is null;

-- Blobs whose bytes are in a pack now. They stay a while for whoever is reading them.
create table archive.packed_blob (
    blob_key  text primary key,
    packed_at timestamptz not null
);
create index packed_blob_age on archive.packed_blob (packed_at);

-- Series whose objects are to be packed. A row goes when they are.
create table archive.pack_due (
    series_key    bigint primary key references archive.series on delete cascade,
    due_at        timestamptz not null,
    claimed_until timestamptz                        -- a worker is at it until then
);
create index pack_due_order on archive.pack_due (due_at, series_key);

create or replace view archive.named_blob as
    select blob_key from archive.instance
    union all
    select blob_key from archive.conflicting_instance
    union all
    select copy_blob_key from archive.object_copy
    union all
    select metadata_blob_key from archive.series where metadata_blob_key is not null
    union all
    select blob_key from archive.rendition where blob_key is not null
    union all
    select split_part(blob_key, '@', 1) from archive.instance where strpos(blob_key, '@') > 0
    union all
    select split_part(blob_key, '@', 1) from archive.conflicting_instance where strpos(blob_key, '@') > 0
    union all
    select split_part(copy_blob_key, '@', 1) from archive.object_copy where strpos(copy_blob_key, '@') > 0
    union all
    select blob_key from archive.pack where exchanged_at is null
    union all
    select blob_key from archive.packed_blob;
