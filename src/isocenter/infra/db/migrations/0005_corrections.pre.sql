-- What the images of a study should say by what is known now. Null: as they say. Originals stay; undoing a correction is
-- setting these to null.
alter table archive.study
    add column corrected_patient_id               text,
    add column corrected_issuer_of_patient_id     text,   -- '': unknown, whatever the images say
    add column corrected_patient_name             text,
    add column corrected_patient_name_normalised  text,
    add column corrected_patient_name_phonetic    text,
    add column corrected_patient_birth_date       date,
    add column corrected_patient_sex              text,
    add column corrected_accession_number         text,
    add column corrected_referring_physician_name text,
    add column corrected_referring_physician_normalised text,
    add column corrected_at                       timestamptz;

-- Searches find a study by what it says now.
create index study_current_patient on archive.study
    (coalesce(corrected_patient_id, patient_id) text_pattern_ops, study_date desc);
create index study_current_name on archive.study
    (coalesce(corrected_patient_name_normalised, patient_name_normalised) text_pattern_ops);
create index study_current_accession on archive.study
    (coalesce(corrected_accession_number, accession_number) text_pattern_ops);
-- Names of several groups (ideographic, phonetic) are compared group by group.
create index study_current_name_groups on archive.study (study_key)
    where position('=' in coalesce(corrected_patient_name_normalised, patient_name_normalised)) > 0;
