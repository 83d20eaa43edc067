-- The log of what happened, what is still to be told to whom, and what is to happen later.

create schema outbox;

create sequence outbox.event_id;

create table outbox.event (
    id          bigint primary key,        -- assigned by the trigger below
    name        text        not null,      -- 'archive.study_complete'
    subject     text        not null,      -- 'study/1.2.840…': the row that the emitting service had locked
    occurred_at timestamptz not null,
    data        jsonb       not null,
    next_xact   xid8        not null       -- every transaction numbered so or higher took its ids after this event's
);
alter sequence outbox.event_id owned by outbox.event.id;
comment on column outbox.event.next_xact is
    'when all transactions before this one have ended, every id up to this event''s is settled: the feed''s horizon';

-- Ids are taken in an order that lets a reader know which of them are settled. Our transaction number first, then our
-- id, then the number that the next transaction will get: whoever gets that number or a higher one takes ids above ours.
create function outbox.number_event() returns trigger language plpgsql as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'events are appended in read committed transactions only';
    end if;
    perform pg_current_xact_id();
    new.id := nextval('outbox.event_id');
    new.next_xact := pg_snapshot_xmax(pg_current_snapshot());
    return new;
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

create table outbox.timer (
    name    text not null,                 -- the event that happens when it is due
    key     text not null,
    due_at  timestamptz not null,
    subject text not null,
    data    jsonb not null,
    primary key (name, key)
);
create index timer_due on outbox.timer (due_at);
