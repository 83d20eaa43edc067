-- A workitem that stands for a scheduled procedure step follows that step, or the step follows it.
alter table worklist.workitem
    add column step_key     bigint references scheduling.scheduled_procedure_step,
    add column claimed_by   text,         -- whose word on the step it carries; null: nobody's, it follows the step
    add column set_aside_at timestamptz;  -- since when its end counts no more for the step, which is booked again
-- At most one is open: whoever performs the step claims that one.
create unique index workitem_open_step on worklist.workitem (step_key)
    where step_key is not null and state in ('SCHEDULED', 'IN PROGRESS');
create index workitem_step on worklist.workitem (step_key) where step_key is not null;
