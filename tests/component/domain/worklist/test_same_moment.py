"""An order and what its scanner says may come in the same moment, by different processes."""

import threading

from isocenter.domain.worklist.model import ScheduledReference
from tests.exam_story import Department, a_patient, a_step_end, a_step_start, an_order
from tests.image_builders import an_instance

EXAMS = 5


def order(department, number):
    facts = an_order(f"A{number}", study_instance_uid=f"1.2.{number}")
    department.order(a_patient(), facts)


def perform(department, number):
    department.start(a_step_start(f"2.1.{number}", ScheduledReference(f"1.2.{number}")))
    made = {f"1.2.{number}.1": [f"1.2.{number}.1.1"]}
    department.update(f"2.1.{number}", a_step_end(series=made))


def scan(department, number):
    uid = f"1.2.{number}"
    said = {"study": uid, "series": f"{uid}.1", "sop": f"{uid}.1.1"}
    department.receive(an_instance(accession_number=f"A{number}", **said))


def react(department, number):
    del number
    department.drain()


def test_whatever_comes_in_the_same_moment_ends_in_one_state(database):
    department = Department(database)
    raised: list[Exception] = []

    def all_of(act) -> None:
        try:
            for number in range(EXAMS):
                act(department, number)
        except Exception as error:  # noqa: BLE001 - the test thread looks at it
            raised.append(error)

    acts = (order, perform, scan, react)
    threads = [threading.Thread(target=all_of, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    department.drain()
    for number in range(EXAMS):
        assert department.statuses(f"A{number}") == ["completed", "COMPLETED off"]
