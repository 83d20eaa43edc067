-- Reconciliation over all evidence, what people decide and the rules made of it; what stations ask of the worklist.

-- The form under which accession numbers are looked up: without case, width, separators and leading zeros of any run of
-- digits. It only finds candidates: whether two numbers are the same is decided by the rules of reconciliation.
create function reconcile.accession_key(value text) returns text language sql immutable strict parallel safe as $$
    select regexp_replace(
        regexp_replace(upper(normalize(btrim(value), NFKC)), '[-_./:#[:space:]]', '', 'g'),
        '(^|[^0-9])0+(?=[0-9])', '\1', 'g')
$$;
create index imaging_order_accession_key on orders.imaging_order (reconcile.accession_key(accession_number));
create index study_accession_key on archive.study (reconcile.accession_key(accession_number))
    where accession_number is not null;

-- What this site's modalities and systems put before an accession number, or leave away.
create table reconcile.accession_prefix (
    prefix   text primary key check (length(prefix) between 1 and 15),
    added_at timestamptz not null,
    added_by text not null
);

-- A rule that people made of what they decided again and again.
create table reconcile.rule (
    rule_key         bigint generated always as identity primary key,
    station_ae_title text not null,
    terms            text[] not null check (cardinality(terms) > 0),
    enabled          boolean not null,
    made_at          timestamptz not null,
    made_by          text not null,
    switched_at      timestamptz not null,
    switched_by      text not null,
    constraint rule_once unique (station_ae_title, terms)
);

alter table reconcile.link
    drop constraint link_method_check,
    add constraint link_method_check check (
        method in ('study_instance_uid', 'accession_number_and_patient', 'performed_step', 'rule', 'person')),
    add column rule_key bigint references reconcile.rule;

alter table reconcile.reconciliation_case
    drop constraint reconciliation_case_kind_check,
    add constraint reconciliation_case_kind_check check (
        kind in ('unmatched', 'ambiguous', 'patient_mismatch', 'conflicting_instance', 'inconsistent_study',
                 'order_cancelled', 'wrong_worklist_entry', 'duplicate_accession', 'issuer_conflict',
                 'unidentified_patient'));

-- Who looks after a study that needs a person, and until when it rests.
create table reconcile.attention (
    study_instance_uid text primary key,
    owner              text,
    owned_at           timestamptz,
    held_until         timestamptz,
    held_by            text,
    hold_reason        text
);

-- A person said whose images these are, whatever they say.
create table reconcile.patient_choice (
    study_instance_uid text primary key,
    patient_key        bigint not null references identity.patient,
    reason             text not null,
    chosen_at          timestamptz not null,
    chosen_by          text not null
);
create index patient_choice_patient on reconcile.patient_choice (patient_key);

-- Everything that was decided about a study, and what there was to choose from.
create table reconcile.decision (
    decision_key       bigint generated always as identity primary key,
    study_instance_uid text not null,
    kind               text not null check (
        kind in ('link', 'new_order', 'move_patient', 'undo', 'hold', 'reject', 'dismiss', 'rule')),
    order_key          bigint,
    accession_number   text,
    patient_key        bigint,
    rule_key           bigint references reconcile.rule,
    station_ae_title   text not null default '',
    candidates         jsonb not null default '[]',      -- [{order_key, accession_number, points, terms: [...]}]
    reason             text not null,
    decided_at         timestamptz not null,
    decided_by         text not null,
    undone_at          timestamptz,
    undone_by          text
);
create index decision_study on reconcile.decision (study_instance_uid, decision_key);
create index decision_choices on reconcile.decision (station_ae_title, decision_key) where kind in ('link', 'rule');

-- Per station and hour: how often it asked and how many steps it was given at most.
create table worklist.station_hour (
    station_ae_title text not null,
    hour             timestamptz not null,
    queries          integer not null,
    results_max      integer not null,
    last_queried_at  timestamptz not null,
    last_result_count integer not null,
    primary key (station_ae_title, hour)
);
create index station_hour_hour on worklist.station_hour (hour);

-- Alarms about something else than an exam: a station, a case that nobody settles.
create table monitoring.condition (
    condition_key bigint generated always as identity primary key,
    kind          text not null,
    subject       text not null,
    reason        text not null,
    since         timestamptz not null,
    raised_at     timestamptz not null,
    cleared_at    timestamptz
);
create unique index condition_raised on monitoring.condition (kind, subject) where cleared_at is null;
