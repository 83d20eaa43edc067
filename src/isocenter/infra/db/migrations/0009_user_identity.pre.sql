-- A DICOM peer may have to say, and prove, which user is behind each association.

alter table peers.dicom_peer add column identity_required boolean not null default false;
