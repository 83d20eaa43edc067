-- What messages and their reactions need to be applied many at a time.

-- The next issued accession number that no order has; null when so many in a row were taken.
create function orders.issue_accession_number(prefix text, digits int, at_most int) returns text language plpgsql volatile as $$
declare
    issued bigint;
    candidate text;
begin
    for attempt in 1 .. at_most loop
        issued := nextval('orders.accession_number_issue');
        candidate := prefix || lpad(issued::text, greatest(digits, length(issued::text)), '0');
        if not exists (select from orders.imaging_order where accession_number = candidate) then
            return candidate;
        end if;
    end loop;
    return null;
end $$;

-- As the function that it replaces (0001), for at most `most` heads at a time, each of a lane of its own. How many due
-- deliveries are looked at first grows with that.
drop function outbox.claim(text[], timestamptz);

create function outbox.claim(subscribers text[], at_time timestamptz, most int)
returns table (event_id bigint, subscriber text, lane text, attempts int, name text, data jsonb)
language plpgsql volatile rows 1
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    near constant int := 20 + 2 * most;
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
        limit most for update of mine skip locked;
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
        limit most for update of mine skip locked;
end $$;

-- As the function that it replaces (0002), without writing both rows out as JSON.
create or replace function audit.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if old.chain_position is null and new.chain_position is not null
           and (new.record_key, new.transaction_id, new.recorded_at, new.action, new.outcome, new.actor, new.actor_kind,
                new.source, new.object_type, new.object_id, new.patient_id, new.detail)
               is not distinct from
               (old.record_key, old.transaction_id, old.recorded_at, old.action, old.outcome, old.actor, old.actor_kind,
                old.source, old.object_type, old.object_id, old.patient_id, old.detail) then
            return new;
        end if;
    end if;
    raise exception 'audit records are neither changed nor deleted' using errcode = 'integrity_constraint_violation';
end $$;
