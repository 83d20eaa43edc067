-- The log of what happened, what is still to be told to whom, and what is to happen later.

create schema outbox;

create sequence outbox.event_id;

create table outbox.event (
    id          bigint primary key,        -- assigned by the trigger below
    name        text        not null,      -- 'archive.study_complete'
    subject     text        not null,      -- 'study/1.2.840…': the row that the emitting service had locked
    occurred_at timestamptz not null,
    data        jsonb       not null
);
alter sequence outbox.event_id owned by outbox.event.id;

-- Ids are taken before transactions commit, so a higher id may be visible while a lower one is not yet. To let a reader
-- know how far the ids are settled, a transaction announces before it takes its first id that all its ids will be higher
-- than the last one taken so far. The announcement is a shared advisory lock: nobody ever waits for it, everybody can see
-- it, and it ends with the transaction, however that ends.
create function outbox.announcement(last_id bigint) returns bigint language sql immutable parallel safe
    return (79::bigint << 48) | last_id;

create function outbox.last_id() returns bigint language sql volatile
    begin atomic
        select case when is_called then last_value else 0 end from outbox.event_id;
    end;

create function outbox.number_event() returns trigger language plpgsql as $$
begin
    if coalesce(current_setting('outbox.announced', true), '') = '' then
        perform pg_advisory_xact_lock_shared(outbox.announcement(outbox.last_id()));
        perform set_config('outbox.announced', 'yes', true);
    end if;
    new.id := nextval('outbox.event_id');
    return new;
end $$;

-- The id up to which every event is visible to statements that begin after this function returns, or never will be.
-- The last id is read before the announcements: a transaction that is not among them has ended, or takes higher ids.
create function outbox.settled_id() returns bigint language plpgsql volatile as $$
declare
    settled bigint := outbox.last_id();
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'the feed is read in read committed transactions only';
    end if;
    return least(settled, (
        select min(announcement.key & ((1::bigint << 48) - 1))
        from pg_locks
        cross join lateral (select (classid::bigint << 32) | objid::bigint as key) as announcement
        where locktype = 'advisory' and objsubid = 1
          and database = (select oid from pg_database where datname = current_database())
          and announcement.key >> 48 = 79
    ));
end $$;

create trigger number_event before insert on outbox.event
    for each row execute function outbox.number_event();

create function outbox.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are never changed';
end $$;

create trigger refuse_change before update on outbox.event
    for each row execute function outbox.refuse_change();

create index event_subject on outbox.event (subject, id);
create index event_occurred on outbox.event (occurred_at);

create table outbox.delivery (
    event_id   bigint not null references outbox.event on delete cascade,
    subscriber text   not null,            -- 'reconcile.match'
    lane       text   not null,            -- one at a time, in order, per (subscriber, lane)
    state      text   not null default 'waiting'
               check (state in ('waiting', 'done', 'dead', 'blocked', 'skipped')),
    attempts   int    not null default 0,
    due_at     timestamptz not null,
    ended_at   timestamptz,                -- when it became done, dead, blocked or skipped
    last_error text,
    primary key (event_id, subscriber)
);
comment on column outbox.delivery.state is
    'waiting: to be tried at due_at; dead: given up, others of its lane go on; '
    'blocked: given up, its lane waits for a person; skipped: a person let it go';

create index delivery_head on outbox.delivery (subscriber, lane, event_id) where state in ('waiting', 'blocked');
create index delivery_due on outbox.delivery (due_at, event_id) where state = 'waiting';
create index delivery_given_up on outbox.delivery (event_id) where state in ('dead', 'blocked');

-- The due head of some lane, locked. The head of a lane is its oldest delivery that is not settled. Only heads are
-- claimed: while one worker holds a head (locked, still 'waiting' to everyone else) nobody can claim what comes behind it.
-- When its holder commits between our snapshot and our lock, PostgreSQL checks the conditions again on the new version of
-- the row and passes over it.
--
-- Looked for first among the few deliveries that are due the longest. When none of those can be had, because they queue
-- behind a head that is being handled, the heads themselves are visited: one look into the index for each lane.
-- A function, because its plan must not depend on statistics that a burst has outrun: for the same reason a row that is
-- already found by its key is asked for its state with `state || ''`, which no partial index offers to answer instead.
create function outbox.claim(subscribers text[], at_time timestamptz)
returns table (event_id bigint, subscriber text, lane text, attempts int, name text, data jsonb)
language plpgsql volatile rows 1
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    near constant int := 20;
    seen int;
begin
    return query
        with due as materialized (
            select event_id, subscriber from outbox.delivery
            where state = 'waiting' and due_at <= at_time and subscriber = any(subscribers)
            order by due_at, event_id limit near
        )
        select mine.event_id, mine.subscriber, mine.lane, mine.attempts, event.name, event.data
        from due join outbox.delivery as mine using (event_id, subscriber)
        join outbox.event on event.id = mine.event_id
        where mine.state || '' = 'waiting' and mine.due_at <= at_time
          and mine.event_id = (
              select head.event_id from outbox.delivery as head
              where head.subscriber = mine.subscriber and head.lane = mine.lane
                and head.state in ('waiting', 'blocked')
              order by head.event_id limit 1
          )
        limit 1 for update of mine skip locked;
    if found then
        return;
    end if;
    select count(*) into seen from (
        select from outbox.delivery
        where state = 'waiting' and due_at <= at_time and subscriber = any(subscribers)
        order by due_at, event_id limit near
    ) as due;
    if seen < near then
        return;
    end if;
    return query
        with recursive lane_head as (
            (
                select subscriber, lane, event_id from outbox.delivery
                where state in ('waiting', 'blocked')
                order by subscriber, lane, event_id limit 1
            )
            union all
            select next_lane.subscriber, next_lane.lane, next_lane.event_id
            from lane_head
            cross join lateral (
                select subscriber, lane, event_id from outbox.delivery
                where state in ('waiting', 'blocked')
                  and (subscriber, lane) > (lane_head.subscriber, lane_head.lane)
                order by subscriber, lane, event_id limit 1
            ) as next_lane
        )
        select mine.event_id, mine.subscriber, mine.lane, mine.attempts, event.name, event.data
        from lane_head join outbox.delivery as mine using (event_id, subscriber)
        join outbox.event on event.id = mine.event_id
        where mine.state || '' = 'waiting' and mine.due_at <= at_time and mine.subscriber = any(subscribers)
        order by mine.due_at, mine.event_id
        limit 1 for update of mine skip locked;
end $$;

create table outbox.timer (
    name    text not null,                 -- the event that happens when it is due
    key     text not null,
    due_at  timestamptz not null,
    subject text not null,
    data    jsonb not null,
    primary key (name, key)
);
create index timer_due on outbox.timer (due_at);
