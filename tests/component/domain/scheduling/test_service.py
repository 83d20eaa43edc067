"""Order messages through the one door, on a real database."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from isocenter.domain.access.model import Actor, NotAuthorized
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.events import OrderPlaced
from isocenter.domain.orders.model import (
    AccessionConflict,
    AccessionFormat,
    Code,
    NumberUnusable,
    OrderNumberConflict,
    OrderPatientConflict,
    OrderReference,
    OrderUnidentified,
    OrderUnknown,
    StateForbids,
    StudyInstanceUidFixed,
)
from isocenter.domain.scheduling import handlers, service
from isocenter.domain.scheduling.model import StepNotMovable
from isocenter.domain.scheduling.model_appointments import AppointmentFacts
from tests.builders import (
    EHR,
    NOON,
    PERSON,
    SYSTEM,
    a_patient,
    a_procedure,
    a_step,
    after_noon,
    an_identifier,
    an_order,
)

A1 = OrderReference(placer_order_number="A1", placer_namespace="EHR")


def placed(tx, order=None, *, patient="P1", now=NOON):
    facts = a_patient(patient, person_name=f"Phantom^{patient}")
    return service.place_order(tx, EHR, facts, order or an_order(), now=now)


def events(tx):
    return tx.values("select name from outbox.event order by id")


def statuses(tx, number):
    return [each.status for each in service.steps_of(tx, number)]


def test_orders_placed_together_keep_apart_and_build_on_each_other(tx):
    known = placed(tx, an_order("A1", accession_number="ACC1"))
    patient_key = orders.exam(tx, "ACC1").order.patient_key
    facts = [
        an_order("A1", at=-20, location="Room 1"),
        an_order("A2", accession_number="ACC2"),
        an_order(None, at=-10, accession_number="ACC1", priority="STAT"),
        an_order("A3"),
    ]
    outcomes = service.place_orders(
        tx, [service.PlacementRequest(EHR, patient_key, each) for each in facts], now=NOON
    )
    assert [each.created for each in outcomes] == [False, True, False, True]
    assert outcomes[0].order_key == outcomes[2].order_key == known.order_key
    order = orders.exam(tx, "ACC1").order
    assert (order.location, order.priority) == ("Room 1", "STAT")
    issued = outcomes[3].accession_number
    for outcome, number in zip(outcomes[1::2], ("ACC2", issued), strict=True):
        exam = orders.exam(tx, number)
        assert exam.order.order_key == outcome.order_key
        assert outcome.study_instance_uids == (exam.procedures[0].study_instance_uid,)
        (step,) = service.steps_of(tx, number)
        assert step.procedure_key == exam.procedures[0].procedure_key


def test_an_order_brings_patient_procedures_and_steps(tx):
    outcome = placed(tx)
    exam = orders.exam(tx, outcome.accession_number)
    (step,) = service.steps_of(tx, outcome.accession_number)
    assert outcome.created
    assert re.fullmatch(r"I\d{8}", outcome.accession_number)
    assert exam.order.state == "placed"
    assert outcome.study_instance_uids == (exam.procedures[0].study_instance_uid,)
    assert exam.procedures[0].study_instance_uid.startswith("2.25.")
    assert (step.modality, step.station_ae_titles, step.status) == ("CT", ["CT1"], "SCHEDULED")
    assert step.start_at == after_noon(20 * 60)
    assert step.protocol_codes == [
        {"value": "P-CH", "scheme": "99TEST", "meaning": "Chest protocol", "version": ""}
    ]
    assert events(tx) == [
        "identity.patient_registered",
        "orders.order_placed",
        "scheduling.step_booked",
    ]


def test_the_same_order_again_changes_nothing(tx):
    first = placed(tx)
    before = events(tx)
    again = placed(tx, now=after_noon(3))
    assert (again.created, again.changed) == (False, ())
    assert again.accession_number == first.accession_number
    assert again.study_instance_uids == first.study_instance_uids
    assert events(tx) == before


def test_numbers_are_taken_as_given(tx):
    order = an_order(
        filler_order_number="F1",
        accession_number="ACC-7",
        procedures=(
            a_procedure(
                requested_procedure_id="RP9",
                study_instance_uid="1.2.3.4",
                steps=(a_step(scheduled_procedure_step_id="S9"),),
            ),
        ),
    )
    outcome = placed(tx, order)
    (step,) = service.steps_of(tx, "ACC-7")
    exam = orders.order_for(tx, OrderReference(filler_order_number="F1"))
    assert (outcome.accession_number, outcome.study_instance_uids) == ("ACC-7", ("1.2.3.4",))
    assert exam.procedures[0].requested_procedure_id == "RP9"
    assert step.scheduled_procedure_step_id == "S9"


@pytest.mark.parametrize(
    "said",
    [
        {"accession_number": "A" * 17},
        {"accession_number": "A\\B"},
        {"procedures": (a_procedure(study_instance_uid="1.02"),)},
        {"procedures": (a_procedure(requested_procedure_id="R" * 17),)},
        {"procedures": (a_procedure(steps=(a_step(station_ae_titles=("A" * 17,)),)),)},
    ],
)
def test_numbers_that_dicom_cannot_carry_are_refused(tx, said):
    with pytest.raises(NumberUnusable):
        placed(tx, an_order(**said))


def test_an_order_without_any_number_is_refused(tx):
    with pytest.raises(OrderUnidentified):
        placed(tx, an_order(None))


def test_issued_numbers_pass_over_taken_ones(tx):
    for number in ("I00000001", "I00000002", "I00000004"):
        placed(tx, an_order(number, accession_number=number))
    issued = [placed(tx, an_order(f"X{n}")).accession_number for n in range(3)]
    assert issued == ["I00000003", "I00000005", "I00000006"]


def test_the_form_of_issued_numbers_is_a_setting(tx):
    form = AccessionFormat.parse("RAD%03d")
    outcome = service.place_order(tx, EHR, a_patient(), an_order(), now=NOON, accession_format=form)
    assert outcome.accession_number == "RAD001"
    tx.run("select setval('orders.accession_number_issue', 12345)")
    outcome = service.place_order(
        tx, EHR, a_patient(), an_order("A2"), now=NOON, accession_format=form
    )
    assert outcome.accession_number == "RAD12346"


def test_numbers_are_never_issued_twice_nor_taken_when_issued(make_database):
    database = make_database(connections_max=8)

    def place(number):
        given = f"I{number:08d}" if number % 3 == 0 else None
        order = an_order(f"X{number}", accession_number=given)
        try:
            with database.transaction() as tx:
                return placed(tx, order, patient=f"P{number}").accession_number
        except AccessionConflict:  # the number it came with had just been issued
            return None

    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(place, range(60)))
    taken = [each for each in numbers if each]
    assert len(taken) == len(set(taken))
    assert len(taken) >= 40
    with database.transaction() as tx:
        assert tx.value("select count(*) from orders.imaging_order") == len(taken)


def test_one_new_order_at_once_from_many_sides_is_one_order(make_database):
    database = make_database(connections_max=8)

    def place(number):
        with database.transaction() as tx:
            order = an_order("SAME", at=-number, clinical_information=str(number))
            return placed(tx, order, patient="NEW")

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(place, range(24)))
    assert sum(each.created for each in outcomes) == 1
    assert len({each.study_instance_uids for each in outcomes}) == 1
    with database.transaction() as tx:
        exam = orders.exam(tx, outcomes[0].accession_number)
        assert exam.order.clinical_information == "0"
        assert len(service.steps_of(tx, outcomes[0].accession_number)) == 1


def test_orders_cancellations_and_starts_of_one_exam_do_not_deadlock(make_database):
    database = make_database(connections_max=8)
    with database.transaction() as tx:
        number = placed(tx).accession_number

    def act(turn):
        with database.transaction() as tx:
            match turn % 4:
                case 0:
                    placed(tx, an_order(at=-25 + turn / 10, location=str(turn)))
                case 1:
                    service.arrive(tx, PERSON, number, now=NOON)
                case 2:
                    service.start(tx, SYSTEM, number, now=NOON)
                case _:
                    identity.register(tx, EHR, a_patient("P1", at=turn, phone=str(turn)), now=NOON)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(act, range(64)))
    with database.transaction() as tx:
        assert statuses(tx, number) == ["STARTED"]
        assert orders.exam(tx, number).order.location == "60"


def test_an_accession_number_of_another_patient_is_refused(tx):
    placed(tx, an_order("A1", accession_number="ACC1"))
    with pytest.raises(AccessionConflict):
        placed(tx, an_order("A2", accession_number="ACC1"), patient="P2")


def test_an_order_does_not_change_its_accession_number(tx):
    placed(tx, an_order("A1", accession_number="ACC1"))
    with pytest.raises(AccessionConflict):
        placed(tx, an_order("A1", accession_number="ACC2"))


def test_numbers_of_two_orders_do_not_name_one(tx):
    placed(tx, an_order("A1", filler_order_number="F1"))
    placed(tx, an_order("A2", filler_order_number="F2"))
    with pytest.raises(OrderNumberConflict):
        placed(tx, an_order("A1", filler_order_number="F2"))


def test_an_order_does_not_change_its_patient_but_follows_a_merge(tx):
    placed(tx)
    with pytest.raises(OrderPatientConflict):
        placed(tx, an_order(at=-20), patient="P2")


def test_after_a_merge_the_order_is_known_under_the_survivor(tx):
    placed(tx, patient="OLD")
    identity.merge(tx, EHR, a_patient("NEW"), [an_identifier("OLD")], now=NOON)
    again = placed(tx, an_order(at=-10, location="Ward 3"), patient="NEW")
    assert not again.created
    assert again.changed == ("location",)


def test_orders_that_share_an_exam_add_their_procedures(tx):
    placed(tx, an_order("A1", accession_number="ACC1"))
    other = a_procedure(code=Code("CTAB", "99TEST", "CT abdomen"), description="CT abdomen")
    outcome = placed(tx, an_order("A2", accession_number="ACC1", procedures=(other,)))
    exam = orders.exam(tx, "ACC1")
    assert not outcome.created
    assert [each.code_value for each in exam.procedures] == ["CTCH", "CTAB"]
    assert len(service.steps_of(tx, "ACC1")) == 2


@pytest.mark.parametrize("arrival", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_each_fact_about_an_order_the_newest_holds(tx, arrival):
    said = [
        an_order(at=-30, priority="ROUTINE", location="A", clinical_information="x"),
        an_order(
            at=-20,
            priority="STAT",
            procedures=(a_procedure(steps=(a_step(start_at=after_noon(90)),)),),
        ),
        an_order(at=-10, location="B", procedures=(a_procedure(steps=()),)),
    ]
    for position in arrival:
        outcome = placed(tx, said[position])
    order = orders.exam(tx, outcome.accession_number).order
    (step,) = service.steps_of(tx, outcome.accession_number)
    assert (order.priority, order.location, order.clinical_information) == ("STAT", "B", "x")
    assert step.start_at == after_noon(90)


def test_a_procedure_may_change_and_is_not_doubled(tx):
    placed(tx)
    other = a_procedure(code=Code("CTCC", "99TEST", "CT chest with contrast"))
    outcome = placed(tx, an_order(at=-10, procedures=(other,)))
    exam = orders.exam(tx, outcome.accession_number)
    assert [each.code_value for each in exam.procedures] == ["CTCC"]
    assert len(service.steps_of(tx, outcome.accession_number)) == 1


def test_a_study_instance_uid_that_was_said_never_changes(tx):
    first = an_order(procedures=(a_procedure(study_instance_uid="1.2.3"),))
    placed(tx, first)
    assert placed(tx, an_order(at=-20)).study_instance_uids == ("1.2.3",)
    with pytest.raises(StudyInstanceUidFixed):
        placed(tx, an_order(at=-10, procedures=(a_procedure(study_instance_uid="1.2.4"),)))


def test_an_issued_study_instance_uid_gives_way_until_the_exam_is_begun(tx):
    number = placed(tx).accession_number
    said = an_order(at=-20, procedures=(a_procedure(study_instance_uid="1.2.3"),))
    assert placed(tx, said).study_instance_uids == ("1.2.3",)
    other = placed(tx, an_order("A2"))
    service.start(tx, SYSTEM, other.accession_number, now=NOON)
    with pytest.raises(StudyInstanceUidFixed):
        placed(tx, an_order("A2", at=-9, procedures=(a_procedure(study_instance_uid="1.2.9"),)))
    assert orders.exam(tx, number).procedures[0].study_instance_uid_issued is False


def test_a_study_instance_uid_of_another_order_is_refused(database):
    with database.transaction() as tx:
        placed(tx, an_order("A1", procedures=(a_procedure(study_instance_uid="1.2.3"),)))
    with pytest.raises(StudyInstanceUidFixed), database.transaction() as tx:
        placed(tx, an_order("A2", procedures=(a_procedure(study_instance_uid="1.2.3"),)))


def test_a_procedure_repeated_for_each_protocol_is_one_procedure(tx):
    said = tuple(
        a_procedure(requested_procedure_id="RP1", steps=(a_step(scheduled_procedure_step_id=sid),))
        for sid in ("S1", "S2")
    )
    outcome = placed(tx, an_order(procedures=said))
    exam = orders.exam(tx, outcome.accession_number)
    ids = [e.scheduled_procedure_step_id for e in service.steps_of(tx, outcome.accession_number)]
    assert len(exam.procedures) == 1
    assert ids == ["S1", "S2"]


def test_an_order_without_a_schedule_is_on_the_worklist_nevertheless(tx):
    order = an_order(procedures=(a_procedure(steps=()),), ordered_at=after_noon(-45))
    (step,) = service.steps_of(tx, placed(tx, order).accession_number)
    assert (step.status, step.start_at) == ("SCHEDULED", after_noon(-45))


def test_cancelling_takes_the_steps_along_and_may_be_repeated(tx):
    number = placed(tx).accession_number
    first = service.cancel_order(tx, EHR, A1, now=NOON, reason="not needed")
    again = service.cancel_order(tx, EHR, A1, now=after_noon(1))
    assert (first.accession_number, first.changed, again.changed) == (number, True, False)
    assert orders.exam(tx, number).order.state == "cancelled"
    assert orders.exam(tx, number).order.state_reason == "not needed"
    assert statuses(tx, number) == ["CANCELLED"]
    assert events(tx).count("orders.order_cancelled") == 1
    assert events(tx).count("scheduling.step_cancelled") == 1


def test_what_was_said_before_the_cancellation_may_arrive_after_it(tx):
    number = placed(tx).accession_number
    service.cancel_order(tx, EHR, replace(A1, asserted_at=after_noon(-5)), now=NOON)
    late = placed(tx, an_order(at=-20, location="Ward 9"))
    assert orders.exam(tx, number).order.state == "cancelled"
    assert orders.exam(tx, number).order.location == "Ward 9"
    assert late.created is False
    assert statuses(tx, number) == ["CANCELLED"]
    with pytest.raises(StateForbids):
        placed(tx, an_order(at=-1))


def test_an_exam_that_is_begun_is_discontinued_and_not_cancelled(tx):
    number = placed(tx).accession_number
    service.start(tx, SYSTEM, number, now=NOON)
    with pytest.raises(StateForbids):
        service.cancel_order(tx, EHR, A1, now=NOON)
    assert service.discontinue_order(tx, EHR, A1, now=NOON).changed
    assert orders.exam(tx, number).order.state == "discontinued"
    assert statuses(tx, number) == ["DISCONTINUED"]


def test_an_exam_that_is_done_can_be_neither_cancelled_nor_discontinued(tx):
    number = placed(tx).accession_number
    service.complete(tx, SYSTEM, number, now=NOON)
    for close in (service.cancel_order, service.discontinue_order):
        with pytest.raises(StateForbids):
            close(tx, EHR, A1, now=NOON)
    assert statuses(tx, number) == ["COMPLETED"]


def test_cancelling_an_unknown_order_is_refused(tx):
    with pytest.raises(OrderUnknown):
        service.cancel_order(tx, EHR, A1, now=NOON)


def test_images_start_only_the_procedure_of_their_study(tx):
    said = tuple(
        a_procedure(requested_procedure_id=f"RP{n}", study_instance_uid=f"1.2.{n}") for n in (1, 2)
    )
    number = placed(tx, an_order(procedures=said)).accession_number
    assert len(service.start(tx, SYSTEM, number, study_instance_uid="1.2.1", now=NOON)) == 1
    assert service.start(tx, SYSTEM, number, study_instance_uid="1.2.1", now=NOON) == []
    assert statuses(tx, number) == ["STARTED", "SCHEDULED"]
    service.complete(tx, SYSTEM, number, study_instance_uid="1.2.1", now=NOON)
    assert orders.exam(tx, number).order.state == "in_progress"
    service.complete(tx, SYSTEM, number, study_instance_uid="1.2.2", now=NOON)
    assert orders.exam(tx, number).order.state == "completed"
    assert events(tx).count("orders.order_completed") == 1


def test_images_of_a_cancelled_order_start_nothing(tx):
    number = placed(tx).accession_number
    service.cancel_order(tx, EHR, A1, now=NOON)
    assert service.start(tx, SYSTEM, number, now=NOON) == []
    assert orders.exam(tx, number).order.state == "cancelled"


def test_a_step_is_moved_by_a_person_and_older_messages_do_not_move_it_back(tx):
    number = placed(tx).accession_number
    (step,) = service.steps_of(tx, number)
    service.move(tx, PERSON, step.step_key, a_step(start_at=after_noon(300)), now=NOON)
    placed(tx, an_order(at=-1))
    (moved,) = service.steps_of(tx, number)
    assert moved.start_at == after_noon(300)
    service.start(tx, SYSTEM, number, now=NOON)
    with pytest.raises(StepNotMovable):
        service.move(tx, PERSON, step.step_key, a_step(), now=NOON)


def test_arriving_is_noted_once(tx):
    number = placed(tx).accession_number
    assert len(service.arrive(tx, PERSON, number, now=NOON)) == 1
    assert service.arrive(tx, PERSON, number, now=NOON) == []
    assert statuses(tx, number) == ["ARRIVED"]


def test_a_peer_that_may_only_send_patients_cannot_order(tx):
    with pytest.raises(NotAuthorized):
        service.place_order(
            tx, Actor.hl7_peer("X", "192.0.2.1", ["adt"]), a_patient(), an_order(), now=NOON
        )


def test_ordering_costs_few_statements(tx, count_statements):
    identity.register(tx, EHR, a_patient("P1", person_name="Phantom^P1"), now=NOON)
    with count_statements() as new:
        placed(tx)
    with count_statements() as again:
        placed(tx)
    assert len(new) <= 8
    assert len(again) <= 6


def test_orders_that_come_together_find_the_appointments_that_name_them(tx):
    named = AppointmentFacts(
        NOON,
        filler_appointment_id="F1",
        status="booked",
        start_at=after_noon(90),
        orders=(OrderReference(placer_order_number="B1", placer_namespace="EHR"),),
    )
    service.keep_appointment(tx, EHR, named, None, may_be_new=True, now=NOON)
    events_of = [
        OrderPlaced(each.order_key, each.accession_number, list(each.study_instance_uids), 1)
        for each in (placed(tx, an_order(number), patient=number) for number in ("A1", "B1"))
    ]
    handlers.on_orders_placed(tx, events_of, now=NOON)
    [(one,), (other,)] = [service.steps_of(tx, each.accession_number) for each in events_of]
    assert one.start_at != after_noon(90)
    assert other.start_at == after_noon(90)
    [kept] = service.appointments_of(tx, other.accession_number)
    assert kept.accession_numbers == [other.accession_number]
    assert not service.appointments_of(tx, one.accession_number)
