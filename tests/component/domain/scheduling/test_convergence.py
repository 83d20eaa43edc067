"""Any arrival order of the same messages, with repetitions, ends in one and the same state."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.orders.model import Code, OrderFacts, ProcedureFacts, StepFacts
from isocenter.domain.scheduling import service as scheduling
from isocenter.infra.db import Tx
from tests.builders import EHR, NOON, after_noon, an_identifier


@dataclass(frozen=True)
class Merging:
    """An A40: the facts name the survivor."""

    survivor: PatientFacts
    prior: PatientIdentifier


@dataclass(frozen=True)
class Ordering:
    """An ORM or OMI."""

    patient: PatientFacts
    order: OrderFacts


Message = PatientFacts | Merging | Ordering
PEOPLE = st.sampled_from(["A", "B", "C"])
WORDS = st.none() | st.sampled_from(["", "x", "y"])


def _patient(value: str, at: int, said: dict[str, Any]) -> PatientFacts:
    return PatientFacts((an_identifier(value),), after_noon(-at), **said)


def _patients(at: int) -> st.SearchStrategy[PatientFacts]:
    said = st.fixed_dictionaries({
        "person_name": st.sampled_from([None, "Phantom^Ada", "Phantom^Eve"]),
        "phone": WORDS,
        "sex": st.sampled_from([None, "F", "O"]),
    })
    return st.builds(_patient, PEOPLE, st.just(at), said)


def _steps() -> st.SearchStrategy[StepFacts]:
    return st.builds(
        StepFacts,
        modality=st.sampled_from([None, "CT", "MR"]),
        station_name=WORDS,
        start_at=st.none() | st.integers(0, 3).map(after_noon),
        station_ae_titles=st.sampled_from([None, (), ("CT1",), ("CT1", "CT2")]),
    )


def _orders(at: int) -> st.SearchStrategy[Ordering]:
    # What a sender says of one order agrees on its numbers and its patient, and says or does not
    # say the study's UID.
    def order(number: int, patient: PatientFacts, said: dict[str, Any], uid: bool) -> Ordering:
        owner = PatientFacts((an_identifier("AB"[number]),), patient.asserted_at, patient.phone)
        procedure = ProcedureFacts(
            requested_procedure_id=f"RP{number}" if said.pop("with_id") else None,
            study_instance_uid=f"1.2.{number}" if uid else None,
            code=said.pop("code"),
            description=said.pop("description"),
            steps=said.pop("steps"),
        )
        return Ordering(
            owner,
            OrderFacts(
                after_noon(-at),
                placer_order_number=f"O{number}",
                procedures=(procedure,),
                **said,
            ),
        )

    said = st.fixed_dictionaries({
        "filler_order_number": st.none(),
        "priority": st.sampled_from([None, "STAT", "ROUTINE"]),
        "location": WORDS,
        "ordered_at": st.none() | st.integers(-90, -80).map(after_noon),
        "with_id": st.booleans(),
        "code": st.sampled_from([None, Code("1", "T", "one"), Code("2", "T", "two")]),
        "description": WORDS,
        "steps": st.lists(_steps(), max_size=1).map(tuple),
    })
    return st.builds(order, st.integers(0, 1), _patients(at), said, st.booleans())


def _merges(at: int) -> st.SearchStrategy[Merging]:
    pairs = st.sampled_from([(a, b) for a in "ABC" for b in "ABC" if a != b])
    return pairs.map(lambda pair: Merging(_patient(pair[0], at, {}), an_identifier(pair[1])))


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Message], list[Message]]:
    """Two arrivals of the same messages, no two of which were sent at the same moment."""
    said: list[Message] = [
        draw(st.one_of(_patients(at), _orders(at), _orders(at), _merges(at)))
        for at in range(1, draw(st.integers(2, 8)))
    ]
    arrivals = []
    for _ in range(2):
        repeated = draw(st.lists(st.sampled_from(said), max_size=3))
        arrivals.append(draw(st.permutations(said + repeated)))
    return arrivals[0], arrivals[1]


def _apply(tx: Tx, message: Message) -> None:
    match message:
        case PatientFacts():
            identity.register(tx, EHR, message, now=NOON)
        case Merging(survivor, prior):
            identity.merge(tx, EHR, survivor, [prior], now=NOON)
        case Ordering(patient, order):
            scheduling.place_order(tx, EHR, patient, order, now=NOON)


@dataclass
class State:
    """One line of the logical state."""

    line: str


# Keys, issued numbers and times of arrival are not part of the logical state; what was said is.
PATIENTS = """
select (i.value, c.patient_id, c.person_name, c.phone, c.sex, own.person_name, own.phone)::text
       as line
  from identity.patient_identifier i
  join identity.patient own using (patient_key)
  join identity.current_patient c using (patient_key)
 order by 1
"""
EXAMS = """
select (o.placer_order_number, c.patient_id, o.state, o.priority, o.location, o.ordered_at,
        case when p.said_at ? 'requested_procedure_id' then p.requested_procedure_id end,
        case when not p.study_instance_uid_issued then p.study_instance_uid end,
        p.code_value, p.code_meaning, p.description,
        s.modality, s.station_name, s.station_ae_titles, s.start_at, s.status)::text as line
  from orders.imaging_order o
  join identity.current_patient c using (patient_key)
  left join orders.requested_procedure p using (order_key)
  left join scheduling.scheduled_procedure_step s using (procedure_key)
 order by 1
"""


class _Undo(Exception):
    """Leaves a savepoint with nothing done."""


def _state_after(tx: Tx, messages: list[Message]) -> list[str]:
    lines: list[str] = []
    with pytest.raises(_Undo), tx.savepoint():
        for message in messages:
            _apply(tx, message)
        for statement in (PATIENTS, EXAMS):
            lines += [each.line for each in tx.all(State, statement)]
        raise _Undo
    return lines


@settings(
    max_examples=50,  # and as many on the second server
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=stories())
def test_any_arrival_order_with_repetitions_ends_in_one_state(tx, story):
    one, other = story
    assert _state_after(tx, one) == _state_after(tx, other)
