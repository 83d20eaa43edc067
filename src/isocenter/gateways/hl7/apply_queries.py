"""Answering queries for patients: who is asked about, and what becomes of unknown domains.

Standard: IHE ITI TF-2 3.9.4.2.2.6, 3.21.4.2.2.8.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import PatientIdentifier
from isocenter.gateways.hl7.translate_queries import (
    Query,
    QueryKind,
    answer_header,
    identifiers_segment,
    patient_segment,
    pointer_segment,
    qak,
)
from isocenter.infra.db import Tx
from isocenter.readmodels import patient_search
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode, Problem
from isocenter.standards.hl7v2.datatypes import AssigningAuthority


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What is answered.

    Attributes:
        message_type: MSH-9; None: a plain acknowledgement.
        segments: after MSA and ERR.
        found: how many patients it tells about.
    """

    code: AckCode = AckCode.AA
    message_type: tuple[str, str, str] | None = None
    segments: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    found: int = 0


def answer(tx: Tx, actor: Actor, query: Query, *, now: datetime) -> QueryAnswer:
    """Return the answer to a query; that it was asked is audited."""
    viewer = Viewer.of(actor, Action.PATIENT_READ)
    if query.kind is QueryKind.CANCEL:  # answers in pages hold nothing here between the pages
        return QueryAnswer()
    if query.kind is QueryKind.IDENTIFIERS:
        done = _identifiers(tx, viewer, query)
    else:
        done = _demographics(tx, viewer, query)
    entry = AuditEntry(
        action="patient.query",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="patient",
        object_id=query.identifier[0],
        patient_id=query.identifier[0] or None,
        detail={"query": query.kind.name.lower(), "found": done.found, "code": done.code.value},
    )
    audit.record(tx, entry, now=now)
    return replace(done, message_type=answer_header(query.kind))


def _identifiers(tx: Tx, viewer: Viewer, query: Query) -> QueryAnswer:
    value, authority = query.identifier
    named = _known_name(tx, viewer, authority)
    if named is None:
        return _error(query, [("QPD^1^3^1^4", "the assigning authority is not known")])
    wanted, problems = _wanted(tx, viewer, query, field=4)
    if problems:
        return _error(query, problems)
    found = identity.find(tx, value, assigning_authority=named)
    if found is None:
        return _error(query, [("QPD^1^3^1^1", "the identifier is not known")])
    people = identity.linked_keys(tx, found.patient_key)
    others = [
        PatientIdentifier(each.value, each.assigning_authority, each.type_code)
        for each in patient_search.identifiers_of(tx, viewer, people)
        if (each.assigning_authority in wanted if wanted else True)
        and (each.assigning_authority, each.value) != (named, value)
    ]
    if not others:
        return QueryAnswer(segments=(qak(query, "NF"), query.qpd))
    pid = identifiers_segment(others, query.syntax)
    return QueryAnswer(segments=(qak(query, "OK"), query.qpd, pid), found=1)


def _demographics(tx: Tx, viewer: Viewer, query: Query) -> QueryAnswer:
    wanted, problems = _wanted(tx, viewer, query, field=8)
    if problems:
        return _error(query, problems)
    asked = query.asked
    if query.authority:
        named = _known_name(tx, viewer, query.authority)
        if named is None:
            return _error(query, [("QPD^1^3", "the assigning authority is not known")])
        asked = replace(asked, authority=named)
    keys = patient_search.patients(tx, viewer, asked)
    shown, more = keys[: asked.limit], len(keys) > asked.limit
    pids = _patient_segments(tx, viewer, shown, wanted, query)
    if not pids:
        return QueryAnswer(segments=(qak(query, "NF", returned=0), query.qpd))
    pointer = (pointer_segment(shown[-1], query.syntax),) if more else ()
    head = (qak(query, "OK", returned=len(pids)), query.qpd)
    return QueryAnswer(segments=(*head, *pids, *pointer), found=len(pids))


def _patient_segments(
    tx: Tx, viewer: Viewer, keys: Sequence[int], wanted: frozenset[str], query: Query
) -> list[str]:
    identifiers: dict[int, list[PatientIdentifier]] = {key: [] for key in keys}
    for each in patient_search.identifiers_of(tx, viewer, list(keys)):
        if not wanted or each.assigning_authority in wanted:
            identifiers[each.person_key].append(
                PatientIdentifier(each.value, each.assigning_authority, each.type_code)
            )
    told = [key for key in keys if identifiers[key]]
    return [
        patient_segment(
            identity.patient(tx, key), identifiers[key], number=number, syntax=query.syntax
        )
        for number, key in enumerate(told, start=1)
    ]


def _wanted(
    tx: Tx, viewer: Viewer, query: Query, *, field: int
) -> tuple[frozenset[str], list[tuple[str, str]]]:
    """The authorities asked for, and which of them are not known."""
    found: set[str] = set()
    problems: list[tuple[str, str]] = []
    for number, each in enumerate(query.domains, start=1):
        named = _known_name(tx, viewer, each)
        if named is None:
            problems.append((f"QPD^1^{field}^{number}", "the assigning authority is not known"))
        else:
            found.add(named)
    return frozenset(found), problems


def _known_name(tx: Tx, viewer: Viewer, authority: AssigningAuthority) -> str | None:
    """The name that we know an authority by: its namespace, or its universal id."""
    if not authority:
        return ""
    for name in (authority.namespace_id, authority.universal_id):
        if name and patient_search.knows_authority(tx, viewer, name):
            return name
    return None


def _error(query: Query, problems: Sequence[tuple[str, str]]) -> QueryAnswer:
    return QueryAnswer(
        code=AckCode.AE,
        segments=(qak(query, "AE"), query.qpd),
        problems=tuple(
            Problem(ErrorCode.UNKNOWN_KEY_IDENTIFIER, location, text) for location, text in problems
        ),
    )
