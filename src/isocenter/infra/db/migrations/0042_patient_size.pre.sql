-- The patient's size (0010,1020) beside the weight: both are what the order says of them.
alter table orders.imaging_order add column patient_size_m double precision;
