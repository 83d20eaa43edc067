-- What hospitals search a large archive by beside numbers, dates and the beginnings of names.

-- All runs of three characters of a text, "^" before it; what parts the words of a name is "^", too, and so are blanks.
create function archive.trigrams(given text) returns text[] language plpgsql immutable parallel safe as $$
declare
    folded text := '^' || translate(given, ' =,.*?', '^^^^^^');
    found text[] := '{}';
begin
    for n in 1 .. coalesce(length(folded), 0) - 2 loop
        found := found || substr(folded, n, 3);
    end loop;
    return found;
end $$;

-- Parts of names, numbers and descriptions, names by their sound, and which studies have a rare modality. The list of
-- what is not sorted in yet is short: every search looks through all of it.
create index study_terms on archive.study using gin (
    (archive.trigrams(coalesce(corrected_patient_name_normalised, patient_name_normalised))
        || string_to_array(coalesce(corrected_patient_name_phonetic, patient_name_phonetic), ' ')),
    archive.trigrams(coalesce(corrected_patient_id, patient_id)),
    archive.trigrams(coalesce(corrected_accession_number, accession_number)),
    archive.trigrams(study_description),
    archive.trigrams(coalesce(corrected_referring_physician_normalised, referring_physician_normalised)),
    modalities, sop_classes
) with (gin_pending_list_limit = 256);

create index study_description on archive.study (study_description text_pattern_ops) where study_description is not null;
create index study_current_birth_date on archive.study (coalesce(corrected_patient_birth_date, patient_birth_date));

create index series_modality on archive.series (modality);
create index series_station on archive.series (station_name text_pattern_ops) where station_name is not null;
create index series_date on archive.series (series_date) where series_date is not null;
create index series_performed on archive.series (performed_procedure_step_start_date)
    where performed_procedure_step_start_date is not null;

analyze archive.study, archive.series;
