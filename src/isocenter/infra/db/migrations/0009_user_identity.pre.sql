-- A DICOM peer may have to say, and prove, which user is behind each association.

alter table peers.dicom_peer add column identity_required boolean not null default false;

-- What scanners say that they did is told to other systems too.
alter table peers.dicom_peer add column steps_forwarded boolean not null default false;
create table worklist.step_forward (
    performed_key bigint      not null references worklist.performed_procedure_step,
    recipient     text        not null,            -- name of a DICOM peer
    told_at       timestamptz not null,            -- when what it was told had been said
    primary key (performed_key, recipient)
);
