-- The patient of a draft was merged or parted: it is not signed before a writer has said that the patient is right.
alter table reporting.report
    add column patient_unconfirmed boolean not null default false;
