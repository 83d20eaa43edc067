-- Lanes of one destination: messages about one patient (or exam) keep their order, others do not wait for
-- them; what is refused for good holds its own lane until a person decides. Destinations that are away,
-- or must be spared, wait as a whole.

-- ------------------------------------------------------------------------------------------------ distribution
alter table distribution.delivery
    add column lane           text     not null default '',  -- patient/KEY or exam/ACCESSION
    add column quarantined_at timestamptz,                   -- refused, and those behind it in its lane wait
    add column urgency        smallint not null default 0;   -- lower goes first: 0 live traffic, 1 replayed in bulk
update distribution.delivery set lane = 'exam/' || accession_number;

-- What is due, in the order in which it is taken.
create index delivery_due on distribution.delivery (recipient, urgency, due_at, delivery_key)
    where state in ('queued', 'sent');
-- Whether anything in its lane is before it.
create index delivery_before on distribution.delivery (recipient, lane, delivery_key)
    where state in ('queued', 'sent') or quarantined_at is not null;
-- What is under way: never more than one batch of a destination.
create index delivery_leased on distribution.delivery (recipient, claimed_until)
    where state in ('queued', 'sent') and claimed_until is not null;

alter table distribution.destination
    add column due_at   timestamptz,                         -- nothing is sent before: it is away, or spared
    add column failures integer not null default 0,          -- in a row, of getting through to it
    add column fault_at timestamptz;                         -- paused because it takes no message of this kind

-- ------------------------------------------------------------------------------------------------ peers
alter table peers.hl7_peer
    add column ordering       text not null default 'patient' check (ordering in ('patient', 'exam', 'all')),
    add column rate_per_s_max double precision not null default 0 check (rate_per_s_max >= 0), -- 0: none
    add column gap_s          double precision not null default 0 check (gap_s >= 0);

-- Another message came under this control id before.
alter table peers.message add column control_id_reused boolean not null default false;
create index message_reused on peers.message (peer, received_at) where control_id_reused;
