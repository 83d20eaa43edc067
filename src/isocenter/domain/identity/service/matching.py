"""Finding records of one person when facts change.

Nothing is renamed here: a pair is linked, which says that two records are one person, or becomes a
question for a person. What was decided once is not asked again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.identity import _store as records
from isocenter.domain.identity import _store_graph as graph
from isocenter.domain.identity import _store_matching as store
from isocenter.domain.identity.events import DuplicateSuspected
from isocenter.domain.identity.model import LinkGround, PatientIdentifier
from isocenter.domain.identity.model_matching import (
    Assessment,
    Frequencies,
    Person,
    assess,
    search_keys,
)
from isocenter.domain.identity.model_names import name_parts
from isocenter.domain.identity.model_numbers import SOMEBODY_ELSE
from isocenter.domain.identity.service.linking import link
from isocenter.infra import outbox
from isocenter.infra.db import Tx

COMPARED_MAX: Final = 60
CANDIDATES_MAX: Final = 10
NAMES_MAX: Final = 5_000


def look_for_duplicates(
    tx: Tx, actor: Actor, patient_keys: Sequence[int], *, link_certain: bool, now: datetime
) -> int:
    """Let the records be found by what is known of them now, and compare them with the others.

    Returns how many pairs became links or questions. With ``link_certain`` False each is a
    question.
    """
    authorize(actor, Action.PATIENT_WRITE)
    if link_certain:  # before the pairs, as people's decisions do
        records.lock_merges(tx)
    rows = store.persons(tx, patient_keys)
    people = {row.patient_key: _person(row) for row in rows}
    keys_of = {key: sorted(search_keys(each)) for key, each in people.items()}
    store.write_profiles(tx, keys_of)
    current = {row.patient_key for row in rows if row.survivor_key is None}
    likes = _compared_all(
        tx,
        {key: each for key, each in people.items() if key in current},
        {key: keys for key, keys in keys_of.items() if key in current and keys},
    )
    news = 0
    alone: list[int] = []
    for row in rows:
        if row.survivor_key is not None:
            news += _check_reuse(tx, row, now=now)
            continue
        key = row.patient_key
        found = [each for each in likes.get(key, ()) if each[1].is_candidate]
        if found:
            news += _ask_about(tx, actor, key, found, link_certain=link_certain, now=now)
        else:
            alone.append(key)
    if alone:
        store.pass_pairs(tx, alone, still=[])
    return news


def refresh_name_frequencies(tx: Tx, actor: Actor) -> int:
    """Count again how common names are here; gives how many are kept."""
    authorize(actor, Action.PATIENT_WRITE)
    return store.refresh_frequencies(tx, names_max=NAMES_MAX)


def _ask_about(
    tx: Tx,
    actor: Actor,
    patient_key: int,
    candidates: Sequence[tuple[int, Assessment]],
    *,
    link_certain: bool,
    now: datetime,
) -> int:
    """Raise the questions about one record, and close those that its facts no longer raise."""
    known = graph.linked_keys(tx, patient_key)
    found = [each for each in candidates if each[0] not in known][:CANDIDATES_MAX]
    news = 0
    for key, each in found:
        keys = (min(patient_key, key), max(patient_key, key))
        news += _raise_question(tx, actor, keys, each, link_certain=link_certain, now=now)
    store.pass_pairs(tx, [patient_key], still=[key for key, _ in found])
    return news


def _raise_question(
    tx: Tx,
    actor: Actor,
    keys: tuple[int, int],
    assessment: Assessment,
    *,
    link_certain: bool,
    now: datetime,
) -> int:
    weighed = (assessment.weight, [asdict(each) for each in assessment.grounds])
    pair = store.upsert_pair(tx, keys, "duplicate", weighed, now=now)
    if pair is None:
        return 0
    if link_certain and assessment.is_certain:
        made = link(tx, actor, keys, LinkGround("system", "matched by the facts"), now=now)
        store.decide_pair(
            tx, pair.pair_key, "linked", done_key=made.link_key, said=(actor.name, ""), now=now
        )
    else:
        outbox.append(tx, DuplicateSuspected(*keys, pair.pair_key), now=now)
    return 1


def _check_reuse(tx: Tx, row: store.PersonRow, *, now: datetime) -> int:
    """Whether what comes under a merged number now is of somebody else than the survivor."""
    [survivor] = store.persons(tx, [row.survivor_key or 0]) or [None]
    if survivor is None or not row.person_name:
        return 0
    compared = assess(_person(row), _person(survivor))
    keys = (min(row.patient_key, survivor.patient_key), max(row.patient_key, survivor.patient_key))
    if compared.weight >= SOMEBODY_ELSE:
        store.pass_pairs(tx, [row.patient_key], still=[])
        return 0
    weighed = (compared.weight, [asdict(each) for each in compared.grounds])
    pair = store.upsert_pair(tx, keys, "reused_identifier", weighed, now=now)
    if pair is not None:
        outbox.append(tx, DuplicateSuspected(*keys, pair.pair_key), now=now)
    return int(pair is not None)


def compared(tx: Tx, person: Person) -> list[tuple[int, Assessment]]:
    """Surviving row and assessment of each record worth comparing, best first."""
    keys = sorted(search_keys(person))
    return _compared_all(tx, {0: person}, {0: keys}).get(0, []) if keys else []


def _compared_all(
    tx: Tx, people: Mapping[int, Person], keys_of: Mapping[int, Sequence[int]]
) -> dict[int, list[tuple[int, Assessment]]]:
    """By key of these records, as far as there is any, what is worth comparing with each."""
    found: dict[int, list[store.PersonRow]] = {}
    if keys_of:
        for row in store.candidates(tx, keys_of, compared_max=COMPARED_MAX):
            found.setdefault(row.looked_for, []).append(row)
    shares = _frequencies(tx, [people[key] for key in found]) if found else None
    likes: dict[int, list[tuple[int, Assessment]]] = {}
    for key, rows in found.items():
        best = _best(people[key], rows, shares)
        likes[key] = sorted(best.items(), key=lambda each: (-each[1].weight, each[0]))
    return likes


def assessed(tx: Tx, person: Person, current_keys: Sequence[int]) -> dict[int, Assessment]:
    """Surviving row -> how the person compares with the record of it that agrees best."""
    rows = store.records_of(tx, current_keys) if current_keys else []
    return _best(person, rows, _frequencies(tx, [person])) if rows else {}


def _best(
    person: Person, rows: Sequence[store.PersonRow], shares: Frequencies | None
) -> dict[int, Assessment]:
    best: dict[int, Assessment] = {}
    for row in rows:
        key = row.survivor_key or row.patient_key
        each = assess(person, _person(row), shares)
        if key not in best or each.weight > best[key].weight:
            best[key] = each
    return best


def _frequencies(tx: Tx, people: Sequence[Person]) -> Frequencies:
    """How common the names of these people are."""
    parts = [name_parts(name) for each in people for name in each.names]
    names = {" ".join(words) for each in parts for words in (each.family, each.given)}
    rows = store.frequencies(tx, sorted(names - {""}))
    return Frequencies(
        family={row.name: row.share for row in rows if row.part == "family"},
        given={row.name: row.share for row in rows if row.part == "given"},
    )


def _person(row: store.PersonRow) -> Person:
    names = (row.person_name, *(row.aliases or ()))
    return Person(
        names=tuple(each for each in names if each),
        birth_date=row.birth_date,
        sex=row.sex,
        address=row.address,
        phone=row.phone,
        identifiers=tuple(
            PatientIdentifier(each["value"], each["assigning_authority"], each["type_code"])
            for each in row.identifiers
        ),
        mother_name=row.mother_name,
        birth_order=row.birth_order,
        vip=bool(row.vip),
        unidentified=bool(row.unidentified),
    )
