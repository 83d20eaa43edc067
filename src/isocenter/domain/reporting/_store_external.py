"""The SQL of documents and values of other systems. One function is one statement."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.reporting.model_external import ExternalDocument, Observation
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """The newest version of a document, for its successor."""

    version: int
    status: str
    media_type: str
    content: bytes
    kind: str
    author_name: str | None
    written_at: datetime | None
    accession_number: str | None
    digest: bytes
    asserted_at: datetime


def lock_documents(tx: Tx, peer: str) -> None:
    """Wait until no other transaction writes documents of this peer."""
    tx.value(
        "select pg_advisory_xact_lock(hashtextextended('external_document/' || %s, 0))", (peer,)
    )


def newest_document(tx: Tx, peer: str, document_id: str) -> KnownDocument | None:
    """The newest version of a document."""
    return tx.maybe(
        KnownDocument,
        """
        select version, status, media_type, content, kind, author_name, written_at,
               accession_number, digest, asserted_at
          from reporting.external_document
         where source_peer = %s and document_id = %s
         order by version desc limit 1
        """,
        (peer, document_id),
    )


def insert_document(tx: Tx, columns: Mapping[str, Any]) -> None:
    """Add a version of a document."""
    tx.run(
        """
        insert into reporting.external_document
               (source_peer, document_id, version, patient_key, accession_number, kind, status,
                author_name, written_at, media_type, content, digest, asserted_at, received_at)
        values (%(source_peer)s, %(document_id)s, %(version)s, %(patient_key)s,
                %(accession_number)s, %(kind)s, %(status)s, %(author_name)s, %(written_at)s,
                %(media_type)s, %(content)s, %(digest)s, %(asserted_at)s, %(now)s)
        """,
        columns,
    )


def known_observation(tx: Tx, columns: Mapping[str, Any]) -> Observation | None:
    """A value by what it is known by, locked."""
    return tx.maybe(
        Observation,
        """
        select observation_key, source_peer, order_number, code_value, code_scheme, code_meaning,
               value, unit, reference_range, abnormal_flags, status, observed_at, asserted_at
          from reporting.observation
         where source_peer = %(source_peer)s and order_number = %(order_number)s
           and code_value = %(code_value)s and code_scheme = %(code_scheme)s
           and sub_id = %(sub_id)s
           for update
        """,
        columns,
    )


def upsert_observation(tx: Tx, columns: Mapping[str, Any]) -> None:
    """Write a value as it is known now."""
    tx.run(
        """
        insert into reporting.observation
               (source_peer, order_number, code_value, code_scheme, sub_id, code_meaning,
                patient_key, value, unit, reference_range, abnormal_flags, status, observed_at,
                asserted_at, received_at)
        values (%(source_peer)s, %(order_number)s, %(code_value)s, %(code_scheme)s, %(sub_id)s,
                %(code_meaning)s, %(patient_key)s, %(value)s, %(unit)s, %(reference_range)s,
                %(abnormal_flags)s, %(status)s, %(observed_at)s, %(asserted_at)s, %(now)s)
            on conflict (source_peer, order_number, code_value, code_scheme, sub_id) do update
           set code_meaning = excluded.code_meaning, patient_key = excluded.patient_key,
               value = excluded.value, unit = excluded.unit,
               reference_range = excluded.reference_range,
               abnormal_flags = excluded.abnormal_flags, status = excluded.status,
               observed_at = excluded.observed_at, asserted_at = excluded.asserted_at
        """,
        columns,
    )


def documents_of(tx: Tx, patient_key: int, limit: int) -> list[ExternalDocument]:
    """The newest versions of a person's documents, newest first."""
    return tx.all(
        ExternalDocument,
        """
        select document_key, source_peer, document_id, version, accession_number, kind, status,
               author_name, written_at, media_type, asserted_at, received_at
          from (select distinct on (source_peer, document_id) d.*
                  from reporting.external_document d
                  join identity.current_patient named using (patient_key)
                 where named.current_key = (select current_key from identity.current_patient
                                             where patient_key = %s)
                 order by source_peer, document_id, version desc) newest
         where status <> 'cancelled'
         order by coalesce(written_at, asserted_at) desc, document_key desc limit %s
        """,
        (patient_key, limit),
    )


def observations_of(tx: Tx, patient_key: int, limit: int) -> list[Observation]:
    """A person's values that hold, newest first."""
    return tx.all(
        Observation,
        """
        select observation_key, source_peer, order_number, code_value, code_scheme, code_meaning,
               value, unit, reference_range, abnormal_flags, status, observed_at, asserted_at
          from reporting.observation
          join identity.current_patient named using (patient_key)
         where named.current_key = (select current_key from identity.current_patient
                                     where patient_key = %s)
           and status <> 'cancelled'
         order by observed_at desc, observation_key desc limit %s
        """,
        (patient_key, limit),
    )


@dataclass(frozen=True, slots=True)
class DocumentContent:
    """The bytes of a document, and whose it is."""

    media_type: str
    content: bytes
    patient_key: int
    kind: str


def document_content(tx: Tx, document_key: int) -> DocumentContent | None:
    """The bytes of one version of a document."""
    return tx.maybe(
        DocumentContent,
        """
        select media_type, content, patient_key, kind
          from reporting.external_document where document_key = %s
        """,
        (document_key,),
    )
