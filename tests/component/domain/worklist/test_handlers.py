"""The worklist follows the schedule, through the outbox."""

import pytest

from isocenter.domain.orders.model import OrderReference
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.events import StepBooked, StepCancelled, StepStatusChanged
from isocenter.domain.worklist import handlers, service
from isocenter.infra.outbox import Dispatcher, Router, Subscription
from tests.builders import EHR, NOON, SCANNER, SYSTEM, a_patient, after_noon, an_order

REFERENCE = OrderReference(placer_order_number="A1", placer_namespace="EHR")


@pytest.fixture
def worker(make_database):
    router = Router([
        Subscription(
            event=StepBooked, subscriber="worklist.publish", handler=handlers.on_step_booked
        ),
        Subscription(
            event=StepCancelled, subscriber="worklist.withdraw", handler=handlers.on_step_cancelled
        ),
        Subscription(
            event=StepStatusChanged,
            subscriber="worklist.finish",
            handler=handlers.on_step_status_changed,
        ),
    ])
    database = make_database(router=router)
    return database, Dispatcher(database, router, clock=lambda: NOON)


def entries(database, number):
    with database.transaction() as tx:
        return service.entries(tx, number)


def place(database):
    with database.transaction() as tx:
        return scheduling.place_order(tx, EHR, a_patient(), an_order(), now=NOON).accession_number


@pytest.mark.parametrize("end", ["cancel", "complete"])
def test_a_booked_step_is_published_and_withdrawn_at_its_end(worker, end):
    database, dispatcher = worker
    number = place(database)
    dispatcher.run_once()
    (entry,) = entries(database, number)
    assert (entry.published_at, entry.withdrawn_at) == (NOON, None)
    with database.transaction() as tx:
        if end == "cancel":
            scheduling.cancel_order(tx, EHR, REFERENCE, now=NOON)
        else:
            scheduling.complete(tx, SYSTEM, number, now=NOON)
    dispatcher.run_once()
    assert entries(database, number)[0].withdrawn_at == NOON


def test_a_cancellation_that_is_handled_first_wins(worker):
    database, _ = worker
    number = place(database)
    with database.transaction() as tx:
        (step,) = scheduling.steps_of(tx, number)
        handlers.on_step_cancelled(
            tx, StepCancelled(number, [step.step_key], "CANCELLED"), now=NOON
        )
        handlers.on_step_booked(tx, StepBooked(number, [step.step_key]), now=after_noon(1))
    assert entries(database, number)[0].withdrawn_at == NOON


def test_only_the_first_query_is_an_event(worker):
    database, _ = worker
    number = place(database)
    with database.transaction() as tx:
        (step,) = scheduling.steps_of(tx, number)
        for minute, title in enumerate(["CT1", "CT2", "CT1"]):
            service.record_query(
                tx,
                SCANNER,
                {step.step_key: number},
                calling_ae_title=title,
                now=after_noon(minute),
            )
        names = tx.values("select name from outbox.event where name like 'worklist.%%'", ())
    (entry,) = entries(database, number)
    assert (entry.query_count, entry.queried_by) == (3, ["CT1", "CT2"])
    assert (entry.first_queried_at, entry.last_queried_at) == (NOON, after_noon(2))
    assert names == ["worklist.first_queried"]
