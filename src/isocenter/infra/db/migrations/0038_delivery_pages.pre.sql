-- Deliveries by state and how soon a recipient answered are looked up, however many were made in all the years before.
create index delivery_state on distribution.delivery (state, delivery_key) where state <> 'acknowledged';
create index delivery_answered on distribution.delivery (recipient, acknowledged_at) where state = 'acknowledged';
