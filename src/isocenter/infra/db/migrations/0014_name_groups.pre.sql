-- A search by the beginning of a name asks whether the name has more than one component group. Without a hint that few have,
-- the planner takes it for a third of all studies and walks the index of dates instead of that of names.
create statistics archive.study_name_groups
    on (position('=' in coalesce(corrected_patient_name_normalised, patient_name_normalised)))
  from archive.study;
analyze archive.study;
