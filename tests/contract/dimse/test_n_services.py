"""N- requests of pynetdicom, whatever they mean: what arrives, and what is answered."""

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Outcome
from isocenter.standards.dicom.values import DataSet
from tests.contract.dimse.conftest import PERFORMED_PROCEDURE_STEP

pytestmark = pytest.mark.peer("pynetdicom")


def call(running, title="SCU"):
    scu = AE(title)
    scu.add_requested_context(PERFORMED_PROCEDURE_STEP)
    return scu.associate("127.0.0.1", running.port, ae_title="ARCHIVE")


def a_data_set(size=8) -> Dataset:
    data_set = Dataset()
    data_set.PerformedProcedureStepID = "1"
    data_set.CommentsOnThePerformedProcedureStep = "x" * size
    return data_set


def create(association, data_set):
    return association.send_n_create(data_set, PERFORMED_PROCEDURE_STEP, "1.2.3")


def test_a_request_arrives_whole_and_its_outcome_is_answered(running):
    answer = DataSet()
    answer.put("PerformedProcedureStepStatus", "IN PROGRESS")
    running.performer.outcome = lambda operation: Outcome(status=0, data_set=answer)
    association = call(running)
    # Longer than one PDU of the peer's
    status, told = create(association, a_data_set(9000))
    got_status, got = association.send_n_get(
        [0x00400252, 0x00400253], PERFORMED_PROCEDURE_STEP, "1.2.3"
    )
    association.release()
    assert (status.Status, got_status.Status) == (0, 0)
    assert told.PerformedProcedureStepStatus == got.PerformedProcedureStepStatus == "IN PROGRESS"
    created, asked = running.performer.operations
    assert len(created.data_set.text(0x00400280)) == 9000
    assert created.request.affected_sop_instance_uid == "1.2.3"
    assert asked.request.attribute_identifier_list == (0x00400252, 0x00400253)
    assert asked.data_set == {}


def test_a_failure_tells_what_is_at_fault(running):
    running.performer.outcome = lambda operation: Outcome(
        status=0x0120, comment="a comment", error_id=0xA710, attribute_identifiers=(0x00400252,)
    )
    association = call(running)
    status, told = create(association, a_data_set())
    association.release()
    assert (status.Status, status.ErrorComment, status.ErrorID) == (0x0120, "a comment", 0xA710)
    assert told is None


class _Away(IsocenterError):
    kind = Kind.UNAVAILABLE


def test_what_is_raised_becomes_a_status_and_the_association_goes_on(running):
    raised = iter([_Away("the database is away"), RuntimeError("ours")])

    def outcome(operation):
        raise next(raised)

    running.performer.outcome = outcome
    association = call(running)
    statuses = [create(association, a_data_set())[0].Status for _ in range(2)]
    association.release()
    assert statuses == [0x0213, 0x0110]


def test_what_the_class_does_not_know_is_refused(running):
    association = call(running)
    status, _ = association.send_n_action(None, 1, PERFORMED_PROCEDURE_STEP, "1.2.3")
    association.release()
    assert status.Status == 0x0211
    assert running.performer.operations == []


def test_a_peer_that_may_not_is_offered_nothing(running):
    association = call(running, "READER")
    assert association.is_established is False or association.accepted_contexts == []
    if association.is_established:
        association.release()


def test_what_is_too_large_is_refused(start):
    running = start(Limits(free_bytes_min=0, operation_bytes_max=1000))
    association = call(running)
    status, _ = create(association, a_data_set(9000))
    assert status.Status == 0x0213
    assert create(association, a_data_set())[0].Status == 0
    association.release()
