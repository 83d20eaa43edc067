"""The worklist guard: stations that stop asking, type by hand, or have a wrong clock."""

from datetime import timedelta

import pytest

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.monitoring.model import ConditionKind
from isocenter.domain.worklist import service as worklist
from isocenter.readmodels import worklist_guard
from tests.builders import PERSON
from tests.exam_story import SYSTEM, Department, a_patient, an_order
from tests.image_builders import NOW, an_instance

VIEWER = Viewer.of(PERSON, Action.WORKLIST_READ)
SILENCE_S = 8 * 3600.0


@pytest.fixture
def department(database) -> Department:
    return Department(database)


def ask(department: Department, results: int = 0) -> None:
    """CT1 asks for its worklist; what it is given are steps of the schedule."""
    station = Actor.dicom_peer("ct1", "10.0.0.1", ["worklist"])
    with department.database.transaction() as tx:
        keys = tx.values(
            "select step_key from scheduling.scheduled_procedure_step order by 1 limit %s",
            (results,),
        )
        given = {key: f"A{key}" for key in keys}
        worklist.record_query(tx, station, given, calling_ae_title="CT1", now=department.now)


def scan(department: Department, number: int, *, by_hand: bool = False, lag_s: float = 60) -> None:
    """CT1 sends a study, of which it says that it was made ``lag_s`` seconds ago."""
    made = department.now - timedelta(seconds=lag_s)
    if not by_hand:
        department.order(a_patient(f"P-{number}"), an_order(f"A{number}"))
    image = an_instance(
        study=f"1.2.{number}",
        series=f"1.2.{number}.1",
        patient_id=f"X-{number}" if by_hand else f"P-{number}",
        accession_number="" if by_hand else f"A{number}",
        received_at=department.now,
        series_date=f"{made:%Y%m%d}",
        series_time=f"{made:%H%M%S}",
    )
    with department.database.transaction() as tx:
        archive.admit(tx, SYSTEM, [image], now=department.now)
    department.drain()


def guard(department: Department, zone: str = "UTC"):
    with department.database.transaction() as tx:
        found = worklist_guard.stations(
            tx, VIEWER, now=department.now, silence_s=SILENCE_S, time_zone=zone
        )
    return found, worklist_guard.conditions(found, now=department.now)


def test_a_station_that_asks_and_sends_is_well(department):
    department.order(a_patient("P-0"), an_order("A0"))
    ask(department, results=1)
    department.advance(minutes=5)
    ask(department)
    for number in range(1, 7):
        scan(department, number)
    (station,), alarms = guard(department)
    assert alarms == []
    assert (station.ae_title, station.queries, station.days_asking) == ("CT1", 2, 1)
    assert (station.last_result_count, station.last_queried_at) == (0, department.now)
    assert (station.studies, station.unasked, station.by_hand) == (6, 0, 0)
    assert station.clock_s == pytest.approx(60, abs=1)


def test_a_station_that_stops_asking_is_an_alarm_with_its_name_until_it_asks_again(department):
    ask(department)
    scan(department, 1)
    assert guard(department)[1] == []
    department.advance(days=3)
    scan(department, 2)
    first_unasked = department.now
    department.advance(hours=1)
    scan(department, 3)
    (station,), (alarm,) = guard(department)
    assert (alarm.kind, alarm.subject) == (ConditionKind.STATION_SILENT, "CT1")
    assert "CT1 sends images and does not ask" in alarm.reason
    assert alarm.since == first_unasked
    assert (station.unasked, station.studies) == (2, 3)
    department.advance(minutes=1)
    ask(department)
    assert guard(department)[1] == []


def test_a_station_that_never_asked_is_no_alarm(department):
    scan(department, 1)
    (station,), alarms = guard(department)
    assert (station.is_silent, alarms) == (False, [])


def test_a_station_that_types_by_hand_is_an_alarm(department):
    ask(department)
    for number in range(1, 3):
        scan(department, number)
    for number in range(3, 7):
        scan(department, number, by_hand=True)
    (station,), (alarm,) = guard(department)
    assert (alarm.kind, station.by_hand) == (ConditionKind.STATION_BY_HAND, 4)
    assert "of its last 6 studies 4 were typed by hand" in alarm.reason


@pytest.mark.parametrize(
    ("lag_s", "words"), [(-1800, "30 minutes before"), (2 * 3600, "120 minutes after")]
)
def test_a_wrong_clock_is_an_alarm(department, lag_s, words):
    for number in range(1, 4):
        scan(department, number, lag_s=lag_s)
    _, (alarm,) = guard(department)
    assert alarm.kind is ConditionKind.STATION_CLOCK
    assert words in alarm.reason


def test_times_are_of_the_departments_zone(department):
    for number in range(1, 4):
        scan(department, number, lag_s=60 - 3600)  # as a clock in Berlin shows it in winter
    assert guard(department, zone="Europe/Berlin")[1] == []


def test_alarms_are_raised_once_and_cleared_once(department):
    ask(department)
    department.advance(days=3)
    scan(department, 1)
    for raised, cleared in ((1, 0), (0, 0)):
        with department.database.transaction() as tx:
            _, found = guard(department)
            settled = monitoring.settle_conditions(
                tx, found, kinds=list(ConditionKind), now=department.now
            )
        assert settled == (raised, cleared)
    with department.database.transaction() as tx:
        (alarm,) = monitoring.raised_conditions(tx, Viewer.of(PERSON, Action.EXAM_READ))
        assert alarm.subject == "CT1"
        settled = monitoring.settle_conditions(
            tx, [], kinds=[ConditionKind.STATION_CLOCK], now=department.now
        )
        assert settled == (0, 0)  # who looks for clocks does not clear what others found
        settled = monitoring.settle_conditions(tx, [], kinds=list(ConditionKind), now=NOW)
        assert settled == (0, 1)
        events = tx.values("select name from outbox.event where name like 'monitoring.%%'")
    assert events == ["monitoring.condition_raised", "monitoring.condition_cleared"]


def test_old_hours_are_forgotten(department):
    ask(department)
    with department.database.transaction() as tx:
        assert worklist.prune_station_queries(tx, before=NOW - timedelta(days=1)) == 0
        assert worklist.prune_station_queries(tx, before=NOW + timedelta(days=1)) == 1
