-- What desks and portals search patients by beside names and numbers.
create index patient_birth_date on identity.patient (birth_date) where birth_date is not null;
-- Telephone numbers are compared from their end: prefixes are written in many ways.
create index patient_phone on identity.patient (reverse(regexp_replace(phone, '[^0-9]', '', 'g')) text_pattern_ops)
    where phone is not null;
