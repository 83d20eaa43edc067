-- Whose patient identifiers are kept of one peer's messages; empty: as the site's settings say.
alter table peers.hl7_peer
    add column trusted_authorities text[] not null default '{}';
