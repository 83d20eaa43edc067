-- Whether a recipient of reports gets them again when their patient is merged, or a merge is undone.
alter table distribution.destination add column told_of_merges boolean not null default true;
