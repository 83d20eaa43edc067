-- Our messages to a peer carry sequence numbers (MSH-13).
alter table peers.hl7_peer
    add column sequence_numbers_sent boolean not null default false;

-- Where that sequence is. under_way: MSH-10 of the message that has the next number, until it is known what became of it.
create table peers.sent_sequence (
    peer       text        primary key,
    accepted   bigint,
    under_way  text        not null,
    is_frozen  boolean     not null,
    updated_at timestamptz not null
);
