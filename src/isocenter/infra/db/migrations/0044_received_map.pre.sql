-- What the messages of a peer are read as, field by field (TOML).
alter table peers.hl7_peer
    add column received_map text not null default '';
