-- Of each column of a visit the newest assertion holds; of two of the same moment the one that arrives later.
create function identity.holds(known jsonb, said jsonb, name text) returns boolean language sql immutable as $$
    select said ? name and (said ->> name)::bigint >= coalesce((known ->> name)::bigint, 0)
$$;

create function identity.newest(known jsonb, said jsonb) returns jsonb language sql immutable as $$
    select known || coalesce((select jsonb_object_agg(key, value) from jsonb_each(said)
                               where (said ->> key)::bigint >= coalesce((known ->> key)::bigint, 0)), '{}')
$$;

create index imaging_order_admission on orders.imaging_order (admission_id) where admission_id is not null;
