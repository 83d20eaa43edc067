-- What the department chose for everybody's workspace, beside what each user chose (reading.preference).
create table reading.site_preference (
    name       text primary key,
    value      jsonb       not null,
    updated_by text        not null,
    updated_at timestamptz not null
);
