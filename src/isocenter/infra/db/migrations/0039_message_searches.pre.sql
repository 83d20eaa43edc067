-- Messages are listed by their key, the latest first: also those of a peer that says little, and those that were refused.
create index message_listed on peers.message (peer, message_key);
create index message_refused on peers.message (peer, message_key) where error is not null;
drop index peers.message_error;

-- What a peer said last, and what it was told last: a peer may only ever do one of both.
create index message_said on peers.message (peer, direction, received_at);
drop index peers.message_peer;
