"""Keeping what other systems found out about our patients, and giving it to who reads.

A document that comes again with another content or status is another version; nothing that was
received is lost. A value that comes again takes the place of what it was: it is one value.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity.model import not_from_the_future
from isocenter.domain.reporting import _store_external as store
from isocenter.domain.reporting.model_external import (
    RESULTS,
    STATUSES,
    DocumentFacts,
    ExternalDocument,
    Observation,
    ObservationFacts,
    ResultGoesBack,
)
from isocenter.infra.db import Tx
from isocenter.standards.statuses import Result, may_follow

LISTED_MAX = 100
DocumentContent = store.DocumentContent


def file_document(
    tx: Tx, actor: Actor, patient_key: int, facts: DocumentFacts, *, now: datetime
) -> bool:
    """Keep a document; gives whether anything is new. Raises ``ResultGoesBack``.

    Older facts than those that are known change nothing.
    """
    authorize(actor, Action.REPORT_WRITE)
    store.lock_documents(tx, actor.name)
    changed = _file(tx, actor, patient_key, facts, now=now)
    if facts.replaces and facts.replaces != facts.document_id:
        withdrawn = replace(
            facts, document_id=facts.replaces, result=Result.CANCELLED, content=b"", replaces=""
        )
        changed = _file(tx, actor, patient_key, withdrawn, now=now) or changed
    return changed


def _file(tx: Tx, actor: Actor, patient_key: int, facts: DocumentFacts, *, now: datetime) -> bool:
    known = store.newest_document(tx, actor.name, facts.document_id)
    if facts.result not in STATUSES or (known is None and not facts.content):
        return False  # nothing to read
    asserted_at = not_from_the_future(facts.asserted_at, now)
    if known is not None:
        if asserted_at < known.asserted_at:
            return False
        _check(RESULTS[known.status], facts.result)
    status = STATUSES[facts.result]
    content = facts.content or (known.content if known else b"")
    media_type = facts.media_type if facts.content or known is None else known.media_type
    digest = hashlib.sha256(b"\0".join((status.encode(), media_type.encode(), content))).digest()
    if known is not None and known.digest == digest:
        return False
    columns = {
        "source_peer": actor.name,
        "document_id": facts.document_id,
        "version": known.version + 1 if known else 1,
        "patient_key": patient_key,
        "accession_number": facts.accession_number or (known.accession_number if known else None),
        "kind": facts.kind or (known.kind if known else ""),
        "status": status,
        "author_name": facts.author_name or (known.author_name if known else None),
        "written_at": facts.written_at or (known.written_at if known else None),
        "media_type": media_type,
        "content": content,
        "digest": digest,
        "asserted_at": asserted_at,
        "now": now,
    }
    store.insert_document(tx, columns)
    _record(tx, actor, "document.file", facts.document_id, status, now=now)
    return True


def keep_observations(
    tx: Tx, actor: Actor, patient_key: int, facts: Sequence[ObservationFacts], *, now: datetime
) -> int:
    """Keep values; gives how many are new or other than before. Raises ``ResultGoesBack``."""
    authorize(actor, Action.REPORT_WRITE)
    return sum(_keep(tx, actor, patient_key, each, now=now) for each in facts)


def _keep(
    tx: Tx, actor: Actor, patient_key: int, facts: ObservationFacts, *, now: datetime
) -> bool:
    code_value, code_scheme, code_meaning = facts.code
    asserted_at = not_from_the_future(facts.asserted_at, now)
    status = STATUSES.get(facts.result, "")
    columns: dict[str, Any] = {
        "source_peer": actor.name,
        "order_number": facts.order_number,
        "code_value": code_value,
        "code_scheme": code_scheme,
        "sub_id": facts.sub_id,
        "code_meaning": code_meaning or code_value,
        "patient_key": patient_key,
        "value": facts.value,
        "unit": facts.unit,
        "reference_range": facts.reference_range,
        "abnormal_flags": facts.abnormal_flags,
        "status": status,
        "observed_at": facts.observed_at,
        "asserted_at": asserted_at,
        "now": now,
    }
    known = store.known_observation(tx, columns)
    if not status or (known is None and not facts.value):
        return False
    if known is not None:
        if asserted_at < known.asserted_at:
            return False
        _check(RESULTS[known.status], facts.result)
        if not facts.value:  # U: what was sent is final now, and is not sent again
            same = ("value", "unit", "reference_range", "abnormal_flags", "observed_at")
            columns |= {name: getattr(known, name) for name in same}
        if all(columns[name] == getattr(known, name) for name in ("value", "unit", "status")):
            return False
    store.upsert_observation(tx, columns)
    _record(tx, actor, "observation.keep", facts.order_number, status, now=now)
    return True


def _check(before: Result, after: Result) -> None:
    if not may_follow(before, after):
        raise ResultGoesBack("the result is final, and is not said to be corrected")


def documents_of(tx: Tx, viewer: Viewer, patient_key: int) -> list[ExternalDocument]:
    """The documents of a person, newest first. Audited by who shows them."""
    viewer.require(Action.REPORT_READ)
    return store.documents_of(tx, patient_key, LISTED_MAX)


def observations_of(tx: Tx, viewer: Viewer, patient_key: int) -> list[Observation]:
    """The values of a person, newest first. Audited by who shows them."""
    viewer.require(Action.REPORT_READ)
    return store.observations_of(tx, patient_key, LISTED_MAX)


def document_content(
    tx: Tx, actor: Actor, document_key: int, *, now: datetime
) -> DocumentContent | None:
    """The bytes of a document; reading it is audited."""
    authorize(actor, Action.REPORT_READ)
    found = store.document_content(tx, document_key)
    if found is not None:
        _record(tx, actor, "document.read", str(document_key), "", now=now)
    return found


def _record(tx: Tx, actor: Actor, verb: str, object_id: str, status: str, *, now: datetime) -> None:
    entry = AuditEntry(
        action=verb,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type=verb.partition(".")[0],
        object_id=object_id,
        detail={"status": status} if status else {},
    )
    audit.record(tx, entry, now=now)
