-- Accounts that were merged together with their patients, for as long as the merge can be undone.
create table identity.merged_visit (
    merged_visit_key  bigint generated always as identity primary key,
    merge_key         bigint      not null references identity.merge,
    former_authority  text        not null,
    former_number     text        not null,
    visit_authority   text        not null,
    visit_number      text        not null,
    visit             jsonb,                 -- the row under the former number; null: there was none
    is_new            boolean     not null,  -- nothing was known under the number that remains
    asserted_at       timestamptz not null,  -- when the last thing was said of the number that remains
    given_back_at     timestamptz
);
create index merged_visit_merge on identity.merged_visit (merge_key) where given_back_at is null;
