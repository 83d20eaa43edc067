"""What Unified Procedure Steps must say, what may be done with them, and what is told of it."""

import pytest

from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom.unified_procedure_step import State
from isocenter.standards.dicom.unified_procedure_step_events import EventType, of_change
from isocenter.standards.dicom.values import DataSet

LOCK, OTHER = "1.2.3", "1.2.4"


def dataset(**values) -> DataSet:
    made = DataSet()
    for keyword, value in values.items():
        made.put(keyword, *(value if isinstance(value, tuple) else (value,)))
    return made


def a_code(**changes) -> DataSet:
    values = {"CodeValue": "1", "CodingSchemeDesignator": "99TEST", "CodeMeaning": "One"}
    return dataset(**(values | changes))


def a_step(**changes) -> DataSet:
    values = {
        "ScheduledProcedureStepPriority": "LOW",
        "ProcedureStepLabel": "Read",
        "ScheduledProcedureStepStartDateTime": "20260302",
        "InputReadinessState": "READY",
        "ProcedureStepState": "SCHEDULED",
        **changes,
    }
    return dataset(**{key: value for key, value in values.items() if value is not None})


@pytest.mark.parametrize(
    ("known", "claimed_with", "given", "status"),
    [
        (State.SCHEDULED, None, None, 0x0000),
        (State.SCHEDULED, None, LOCK, 0xC310),
        (State.IN_PROGRESS, LOCK, LOCK, 0x0000),
        (State.IN_PROGRESS, LOCK, OTHER, 0xC301),
        (State.IN_PROGRESS, LOCK, None, 0xC301),
        (State.COMPLETED, LOCK, LOCK, 0xC300),
        (State.CANCELED, LOCK, None, 0xC300),
    ],
)
def test_who_may_set_attributes(known, claimed_with, given, status):
    assert ups.status_of_update(known, claimed_with, given) == status


@pytest.mark.parametrize("given", ["", "1.2.03", "no UID", "1." * 40])
def test_only_a_uid_claims(given):
    assert ups.status_of_change(State.SCHEDULED, None, State.IN_PROGRESS, given) == 0xC301


@pytest.mark.parametrize(
    ("changes", "status", "tag"),
    [
        ({}, None, None),
        ({"InputReadinessState": None}, 0x0120, ups.INPUT_READINESS),
        ({"ScheduledProcedureStepStartDateTime": ""}, 0x0121, ups.START),
        ({"ScheduledProcedureStepStartDateTime": "soon"}, 0x0106, ups.START),
        ({"StudyInstanceUID": "1.2.x"}, 0x0106, ups.STUDY_INSTANCE_UID),
        ({"TransactionUID": LOCK}, 0x0106, ups.TRANSACTION_UID),
        ({"ScheduledStationNameCodeSequence": a_code(CodeMeaning="")}, 0x0121, ups.STATION_NAMES),
        ({"ScheduledStationNameCodeSequence": a_code(CodeValue="")}, 0x0121, ups.STATION_NAMES),
        (
            {"ScheduledStationNameCodeSequence": a_code(CodeValue="", LongCodeValue="L" * 20)},
            None,
            None,
        ),
        (
            {
                "ScheduledHumanPerformersSequence": dataset(
                    HumanPerformerCodeSequence=a_code(CodeMeaning="")
                )
            },
            0x0121,
            0x00404009,
        ),
    ],
)
def test_what_creation_needs(changes, status, tag):
    fault = ups.creation_fault(a_step(**changes))
    assert (fault.status if fault else None) == status
    assert tag is None or fault.tags == (tag,)


def test_each_attribute_that_completion_needs():
    performed = {
        "PerformedStationNameCodeSequence": a_code(),
        "PerformedProcedureStepStartDateTime": "20260302",
        "PerformedWorkitemCodeSequence": a_code(),
        "PerformedProcedureStepEndDateTime": "20260302",
        "OutputInformationSequence": (),
    }
    whole = a_step(UnifiedProcedureStepPerformedProcedureSequence=dataset(**performed))
    assert ups.missing_at_end(whole, State.COMPLETED) == ()
    for keyword in performed:
        part = dataset(**{key: value for key, value in performed.items() if key != keyword})
        step = a_step(UnifiedProcedureStepPerformedProcedureSequence=part)
        assert len(ups.missing_at_end(step, State.COMPLETED)) == 1, keyword
    assert ups.missing_at_end(a_step(), State.COMPLETED) == (ups.PERFORMED_PROCEDURE,)
    assert ups.missing_at_end(a_step(), State.CANCELED) == (ups.PROGRESS_INFORMATION,)
    canceled = ups.with_cancellation(a_step(), DataSet(), "20260302120000")
    assert ups.missing_at_end(canceled, State.CANCELED) == (ups.DISCONTINUATION_REASON,)
    said = DataSet()
    said.put(ups.DISCONTINUATION_REASON, ups.unspecified_reason())
    whole = ups.with_cancellation(canceled, said, "20260302130000")
    assert ups.missing_at_end(whole, State.CANCELED) == ()
    assert whole.item(ups.PROGRESS_INFORMATION).text(ups.CANCELLATION) == "20260302120000"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"CommentsOnTheScheduledProcedureStep": "of no interest"}, []),
        ({"InputReadinessState": "UNAVAILABLE"}, [EventType.STATE_REPORT]),
        ({"ScheduledStationNameCodeSequence": ()}, [EventType.ASSIGNED]),
        (
            {
                "ProcedureStepProgressInformationSequence": dataset(
                    ProcedureStepProgressDescription="half"
                )
            },
            [EventType.PROGRESS_REPORT],
        ),
        (
            {"ProcedureStepProgressInformationSequence": dataset(ReasonForCancellation="none")},
            [],
        ),
    ],
)
def test_which_changes_are_told(changes, told):
    before = a_step(ScheduledStationNameCodeSequence=a_code())
    after = DataSet(before)
    after.update(dataset(**changes))
    assert [each.event_type for each in of_change(before, after)] == told
