-- Every blob that something names; whatever no row here names is swept.
create view archive.named_blob as
    select blob_key from archive.instance
    union all
    select blob_key from archive.conflicting_instance
    union all
    select copy_blob_key from archive.object_copy
    union all
    select metadata_blob_key from archive.series where metadata_blob_key is not null;

-- Objects that lie in the stores while nothing names them: of a crash before the commit, or of a database that is
-- older than its objects.
create table archive.orphan (
    blob_key           text primary key,
    sop_instance_uid   text not null,                -- '' when it is encrypted with a key that is not set up
    study_instance_uid text not null,
    found_at           timestamptz not null
);
