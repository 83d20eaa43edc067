-- Where receivers put objects whose senders are answered before the archive has them. What lies on a shelf that is not
-- renewed any more is taken in by a worker.
create table archive.shelf (
    mark       text primary key,                     -- the last digits of the keys that were made for it
    directory  text not null,                        -- of the object store, behind the store's name
    opened_at  timestamptz not null,
    renewed_at timestamptz not null
);
