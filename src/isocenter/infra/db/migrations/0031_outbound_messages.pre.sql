-- Messages of every kind share one store: an order's status, a patient's identity, an appointment and a charge go the
-- way that reports go.
alter table distribution.delivery
    alter column report_id drop not null,
    alter column version drop not null,
    add column kind     text  not null default 'report'
        check (kind in ('report', 'order', 'procedure', 'patient', 'appointment', 'charge')),
    add column subject  text  not null default '',   -- what it is about: order/KEY, patient/KEY, exam/NUMBER, appointment/KEY
    add column occasion text  not null default '',   -- why it is sent: an order control and status, or a trigger event
    add column told     jsonb not null default '{}', -- what was true when it was queued and may no longer be
    add constraint delivery_of check ((kind = 'report') = (report_id is not null and version is not null));
create index delivery_subject on distribution.delivery (subject, recipient, delivery_key) where kind <> 'report';

alter table peers.hl7_peer drop constraint hl7_peer_send_check;
alter table peers.hl7_peer
    add constraint hl7_peer_send_check check (send <@ array['oru', 'orm', 'omi', 'adt', 'siu', 'dft']),
    add column order_message  text   not null default '',     -- ORM, OMG or OMI; '': as is usual for its version
    add column patient_update text   not null default 'A31',  -- by which it learns of changed demographics: A31 or A08
    add column report_forms   text[] not null default array['text', 'study_uid'],
    add column field_map      text   not null default '';     -- TOML: what its messages say otherwise, field by field
