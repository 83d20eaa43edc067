-- Splits are written beside the objects, so that tables that are made anew from the objects know them.
alter table archive.split
    add column record_blob_key text,                    -- the newest record of it; null before there is one
    add column record_due      boolean not null default true,
    -- What a study that was made by splitting says of patient and order, by column, since the tables were made anew:
    -- the orders and patients of which it was known are not in the objects.
    add column stated          jsonb   not null default '{}';
create index split_record_due on archive.split (split_key) where record_due;
create index split_record on archive.split (record_blob_key) where record_blob_key is not null;

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
    select blob_key from archive.packed_blob
    union all
    select record_blob_key from archive.split where record_blob_key is not null;
