-- The order numbers that an appointment names, as kind|number|namespace: the order may come after its appointment.
alter table scheduling.appointment add column order_numbers text[] not null default '{}';
create index appointment_orders on scheduling.appointment using gin (order_numbers);
