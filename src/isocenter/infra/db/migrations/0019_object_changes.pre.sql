-- Images taken out of use by notes (IHE IOCM) and brought back, peers that are told of performed steps by events, and
-- what single peers do in a way of their own.

-- A rejection is made durable as a Key Object Selection document: by us, or it is one that came.
alter table archive.rejection
    add column code                  text not null default '113037'  -- of the document's title, PS3.16 CID 7010
               check (code in ('113001', '113037', '113038', '113039')),
    add column note_sop_instance_uid text,           -- null for what was rejected before there were notes
    add column number_awaited        integer not null default 0,  -- instances that had not come yet
    add column number_differing      integer not null default 0;  -- of another class or place than the note says: not touched
create index rejection_note on archive.rejection (note_sop_instance_uid);

-- Instances that were rejected before they came: they are kept when they come, and nobody is shown them.
create table archive.awaited_rejection (
    sop_instance_uid text   not null,
    rejection_key    bigint not null references archive.rejection,
    primary key (sop_instance_uid, rejection_key)
);
create index awaited_rejection_of on archive.awaited_rejection (rejection_key);

-- Rejected instances that somebody brought back, one row each time.
create table archive.restoration (
    restoration_key       bigint generated always as identity primary key,
    study_instance_uid    text        not null,
    rejection_key         bigint      not null references archive.rejection,  -- the last of those that were undone
    sop_instance_uids     text[]      not null,
    reason                text        not null,
    restored_by           text        not null,
    restored_at           timestamptz not null,
    note_sop_instance_uid text        not null
);
create index restoration_study on archive.restoration (study_instance_uid);
create index restoration_note on archive.restoration (note_sop_instance_uid);

-- A note goes to every destination that got images of its study.
alter table distribution.transfer drop constraint transfer_kind_check;
alter table distribution.transfer add constraint transfer_kind_check
    check (kind in ('images', 'availability', 'rejection'));
alter table distribution.transfer add column note_sop_instance_uid text;

-- Told by the MPPS notification class, which asks to be followed up by N-GET.
alter table peers.dicom_peer
    add column steps_notified boolean not null default false,
    add column quirks         text[]  not null default '{}';  -- names of policies, domain/peers/quirks.py

-- Studies that were matched before corrections were kept: a worker decides about them once more, and takes them off.
create table reconcile.correction_due (study_instance_uid text primary key);
insert into reconcile.correction_due
    select study_instance_uid from reconcile.link join archive.study using (study_instance_uid)
     where corrected_at is null;
