"""Any order of the same facts, with repeats, ends in one and the same state."""

from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from isocenter.domain.worklist.model import PerformedStatus, ScheduledReference
from isocenter.readmodels import exam_ledger
from tests.exam_story import (
    WRONG_ENTRY,
    Department,
    a_patient,
    a_step_end,
    a_step_start,
    an_order,
)
from tests.image_builders import NOW, an_instance

_numbers = count(1)


def the_facts(n: int) -> dict[str, object]:
    """The facts of one exam. Its images carry an identifier that a merge makes the patient's."""
    mine, other, accession = f"P{n}", f"Q{n}", f"A{n}"
    later = NOW + timedelta(minutes=5)
    first = [_image(n, series, number) for series, number in ((1, 1), (1, 2), (2, 1))]
    second = [_image(n, series, number) for series, number in ((2, 2), (3, 1))]
    return {
        "register": lambda d: d.register(a_patient(mine)),
        "update": lambda d: d.register(
            a_patient(mine, asserted_at=later, person_name="Phantom^Ada^Beth")
        ),
        "register prior": lambda d: d.register(a_patient(other)),
        "merge": lambda d: d.merge(a_patient(mine, asserted_at=NOW), other),
        "order": lambda d: d.order(a_patient(mine), an_order(accession)),
        "order change": lambda d: d.order(
            a_patient(mine),
            an_order(accession, asserted_at=later, start_at=later, priority="STAT"),
        ),
        "images 1": lambda d: d.receive(*first),
        "images 2": lambda d: d.receive(*second),
    }


def the_facts_with_steps(n: int) -> dict[str, object]:
    """The facts of an exam whose scanner tells what it does: first by mistake, then in earnest.

    What a scanner says of one step comes in its order; the rest comes in any.
    """
    meant = ScheduledReference(f"1.2.{n}", f"A{n}", "RP1")
    images = [_image(n, 1, 1), _image(n, 1, 2)]
    made = {f"1.2.{n}.1": [f"1.2.{n}.1.1", f"1.2.{n}.1.2"]}
    mistaken, done = f"2.1.{n}", f"2.2.{n}"
    order = an_order(f"A{n}", study_instance_uid=f"1.2.{n}")
    wrong = a_step_end(PerformedStatus.DISCONTINUED, reason=WRONG_ENTRY)
    return {
        "order": lambda d: d.order(a_patient(f"Q{n}"), order),
        "image 1": lambda d: d.receive(images[0]),
        "image 2": lambda d: d.receive(images[1]),
        "mistake": lambda d: d.start(a_step_start(mistaken, meant)),
        "mistake noticed": lambda d: d.update(mistaken, wrong),
        "start": lambda d: d.start(a_step_start(done, meant)),
        "series": lambda d: d.update(done, a_step_end(None, series=made)),
        "end": lambda d: d.update(done, a_step_end()),
    }


def the_facts_with_a_rule(n: int) -> dict[str, object]:
    """The facts of images without a number that a rule brings to the one order that fits.

    Their patient ID is the patient's only by a merge, and the order is on their day only since it
    was moved there. The images of a second study carry the number in another form.
    """
    mine, other = f"P{n}", f"Q{n}"
    days = NOW + timedelta(days=3)
    later = NOW + timedelta(minutes=5)
    typed = {"patient_id": other, "accession_number": ""}
    numbered = {"patient_id": mine, "accession_number": f"a-00{n}"}
    return {
        "register": lambda d: d.register(a_patient(mine)),
        "merge": lambda d: d.merge(a_patient(mine, asserted_at=NOW), other),
        "order": lambda d: d.order(a_patient(mine), an_order(f"A{n}", start_at=days)),
        "order moved": lambda d: d.order(
            a_patient(mine), an_order(f"A{n}", asserted_at=later, start_at=NOW)
        ),
        "image": lambda d: d.receive(
            an_instance(study=f"1.2.{n}", sop=f"1.2.{n}.1.1", series=f"1.2.{n}.1", **typed)
        ),
        "numbered": lambda d: d.receive(
            an_instance(study=f"1.3.{n}", sop=f"1.3.{n}.1.1", series=f"1.3.{n}.1", **numbered)
        ),
    }


def _image(n: int, series: int, number: int):
    return an_instance(
        study=f"1.2.{n}",
        series=f"1.2.{n}.{series}",
        sop=f"1.2.{n}.{series}.{number}",
        modality="PR" if series == 3 else "CT",
        series_number=str(series),
        instance_number=str(number),
        patient_id=f"Q{n}",
        accession_number=f"a{n} ",
    )


def logical_state(department: Department, n: int) -> str:
    """All that is known of the exam, without times and keys, numbers of the example removed."""
    with department.database.transaction() as tx:
        ledger = exam_ledger.exam(tx, department.viewer, f"A{n}", now=department.now)
        assert ledger is not None
        cases = tx.values(
            "select kind || ': ' || reason from reconcile.reconciliation_case"
            " where state = 'open' and study_instance_uid = %s order by 1",
            (f"1.2.{n}",),
        )
        steps = tx.values(
            "select status || ' ' || start_at || ' ' || (entry.withdrawn_at is null)"
            "  from scheduling.scheduled_procedure_step left join worklist.entry using (step_key)"
            " where scheduled_procedure_step.accession_number = %s",
            (f"A{n}",),
        )
        order = tx.values(
            "select state || ' ' || coalesce(priority, '') from orders.imaging_order"
            " where accession_number = %s",
            (f"A{n}",),
        )
    seen = {
        "state": ledger.state,
        "patient": (ledger.patient_id, ledger.patient_name),
        "priority": ledger.priority,
        "scheduled_at": ledger.scheduled_at,
        "needs_person": ledger.needs_person_reason,
        "hops": [(each.name, each.state, each.count, each.reason) for each in ledger.hops],
        # the ledger lists studies as they came
        "studies": sorted(
            (each.modalities, each.number_of_series, each.number_of_instances, str(each.method))
            for each in ledger.studies
        ),
        "reasons": sorted(str(each.link_reason) for each in ledger.studies),
        "cases": cases,
        "steps": steps,
        "order": order,
    }
    return repr(seen).replace(f"Q{n}", "Q").replace(f"P{n}", "P").replace(f"A{n}", "A")


def _in_its_order(names) -> list[str]:
    """The names with those of one performed step in the order in which it says them."""
    played = list(names)
    for spoken in (["mistake", "mistake noticed"], ["start", "series", "end"]):
        places = [place for place, name in enumerate(played) if name in spoken]
        for place, name in zip(places, spoken, strict=True):
            played[place] = name
    return played


STEP_NAMES = list(the_facts_with_steps(0))
step_plays = st.permutations(STEP_NAMES).flatmap(
    lambda names: st.tuples(
        *(st.tuples(st.just(name), st.booleans()) for name in _in_its_order(names))
    )
)
NAMES = list(the_facts(0))
IN_ORDER = [(name, True) for name in NAMES]
LAST_IS_MERGE = [(name, True) for name in sorted(NAMES, key=lambda name: name == "merge")]
plays = st.permutations(NAMES).flatmap(
    lambda names: st.lists(st.sampled_from(NAMES), max_size=5).flatmap(
        lambda repeats: st.permutations(names + repeats).flatmap(
            lambda played: st.tuples(*(st.tuples(st.just(name), st.booleans()) for name in played))
        )
    )
)


@pytest.fixture
def department(database) -> Department:
    return Department(database)


def play(department: Department, played, facts_of=the_facts) -> str:
    n = next(_numbers)
    facts = facts_of(n)
    for name, drained in played:
        department.advance(seconds=1)
        facts[name](department)
        if drained:
            department.drain()
    department.drain()
    before = logical_state(department, n)
    if facts_of is not the_facts:
        return before
    department.advance(hours=1)
    department.complete_studies()
    department.drain()
    return f"{before} then {logical_state(department, n)}"


def test_every_arrival_order_ends_in_the_same_state(department):
    expected = play(department, IN_ORDER)
    assert "'to_read'" in expected
    assert "accession_number_and_patient" in expected
    assert "'cases': []" in expected

    @settings(
        max_examples=25,  # and as many on the second server
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(played=plays)
    @example(played=tuple(reversed(IN_ORDER)))
    @example(played=LAST_IS_MERGE)
    @example(played=[(name, False) for name in reversed(NAMES)])
    def check(played):
        assert play(department, played) == expected

    check()


def test_what_scanners_say_converges_with_orders_and_images(department):
    expected = play(department, [(name, True) for name in STEP_NAMES], the_facts_with_steps)
    assert "'to_read'" in expected
    assert "COMPLETED" in expected
    assert "'order': ['completed" in expected

    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(played=step_plays)
    @example(played=[(name, False) for name in _in_its_order(reversed(STEP_NAMES))])
    def check(played):
        assert play(department, played, the_facts_with_steps) == expected

    check()


RULE_NAMES = list(the_facts_with_a_rule(0))
rule_plays = st.permutations(RULE_NAMES).flatmap(
    lambda names: st.tuples(*(st.tuples(st.just(name), st.booleans()) for name in names))
)


def test_what_rules_and_other_forms_of_numbers_find_converges(department):
    with department.database.transaction() as tx:
        tx.run(
            "insert into reconcile.rule (station_ae_title, terms, enabled, made_at, made_by,"
            " switched_at, switched_by)"
            " values ('CT1', '{modality,patient_id,time}', true, now(), 'ada', now(), 'ada')"
        )
    expected = play(department, [(name, True) for name in RULE_NAMES], the_facts_with_a_rule)
    assert "'rule'" in expected
    assert "accession_number_and_patient" in expected
    assert "'cases': []" in expected

    @settings(
        max_examples=5,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(played=rule_plays)
    @example(played=[(name, False) for name in reversed(RULE_NAMES)])
    @example(played=[(name, True) for name in reversed(RULE_NAMES)])
    def check(played):
        assert play(department, played, the_facts_with_a_rule) == expected

    check()
