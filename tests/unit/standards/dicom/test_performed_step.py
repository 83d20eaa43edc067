"""What must be said of a performed procedure step, row by row of PS3.4 Table F.7.2-1."""

import pytest

from isocenter.standards.dicom import performed_step
from isocenter.standards.dicom.performed_step import creation_fault, required_at_end, update_fault
from isocenter.standards.dicom.values import DataSet

# Attributes without a value where the table allows none: type 2.
EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferencedPatientSequence",
    "PerformedStationName", "PerformedLocation", "PerformedProcedureStepDescription",
    "PerformedProcedureTypeDescription", "ProcedureCodeSequence", "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime", "StudyID", "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
)  # fmt: skip
VALUES = {
    "PerformedProcedureStepID": "P1",
    "PerformedStationAETitle": "CT1",
    "PerformedProcedureStepStartDate": "20260302",
    "PerformedProcedureStepStartTime": "120000",
    "PerformedProcedureStepStatus": "IN PROGRESS",
    "Modality": "CT",
}
ITEM_EMPTY = (
    "ReferencedStudySequence", "AccessionNumber", "RequestedProcedureID",
    "RequestedProcedureDescription", "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription", "ScheduledProtocolCodeSequence",
)  # fmt: skip
REQUIRED = {"PatientName", "PatientID", *VALUES}


def created(*without: str, item_without: str = "", **changes: str) -> DataSet:
    item = DataSet()
    item.put("StudyInstanceUID", "1.2.3")
    for keyword in ITEM_EMPTY:
        item.put(keyword)
    found = DataSet()
    found.put("ScheduledStepAttributesSequence", item)
    for keyword in EMPTY:
        found.put(keyword)
    for keyword, value in (VALUES | changes).items():
        found.put(keyword, value)
    probe = DataSet()
    for keyword in without:
        probe.put(keyword)
    for tag in probe:
        del found[tag]
    if item_without:
        probe = DataSet()
        probe.put(item_without)
        for tag in probe:
            del item[tag]
    return found


def tag_of(keyword: str) -> int:
    probe = DataSet()
    probe.put(keyword)
    return next(iter(probe))


def test_what_the_table_asks_for_is_enough():
    assert creation_fault(created()) is None


@pytest.mark.parametrize("keyword", [*EMPTY, *VALUES])
def test_a_missing_attribute_is_named_unless_it_only_describes(keyword):
    fault = creation_fault(created(keyword))
    if keyword in REQUIRED:
        assert fault is not None
        assert (fault.status, fault.tags) == (0x0120, (tag_of(keyword),))
    else:
        assert fault is None


@pytest.mark.parametrize("keyword", sorted(VALUES))
def test_a_missing_value_is_named(keyword):
    found = created()
    found.put(keyword)
    fault = creation_fault(found)
    assert fault is not None
    assert (fault.status, fault.tags) == (0x0121, (tag_of(keyword),))


@pytest.mark.parametrize(
    ("keyword", "status"),
    [
        ("StudyInstanceUID", 0x0120),
        ("AccessionNumber", 0x0120),
        ("ScheduledProcedureStepID", 0x0120),
        ("ScheduledProtocolCodeSequence", None),
    ],
)
def test_items_are_looked_into(keyword, status):
    fault = creation_fault(created(item_without=keyword))
    assert (fault and fault.status) == status


@pytest.mark.parametrize(
    ("changes", "keyword"),
    [
        ({"PerformedProcedureStepStatus": "COMPLETED"}, "PerformedProcedureStepStatus"),
        ({"PerformedProcedureStepStartDate": "today"}, "PerformedProcedureStepStartDate"),
        ({"PerformedProcedureStepStartTime": "25"}, "PerformedProcedureStepStartTime"),
    ],
)
def test_an_invalid_value_is_named(changes, keyword):
    fault = creation_fault(created(**changes))
    assert fault is not None
    assert (fault.status, fault.tags) == (0x0106, (tag_of(keyword),))


def test_series_and_their_objects_have_uids():
    image = DataSet()
    image.put("ReferencedSOPInstanceUID", "1.2.3.x")
    series = DataSet()
    series.put("SeriesInstanceUID", "")
    series.put("ReferencedImageSequence", image)
    said = DataSet()
    said.put("PerformedSeriesSequence", series)
    fault = update_fault(said)
    assert fault is not None
    assert fault.tags == (
        performed_step.SERIES_INSTANCE_UID,
        performed_step.REFERENCED_SOP_INSTANCE_UID,
    )


@pytest.mark.parametrize("status", ["IN PROGRESS", "COMPLETED", "DISCONTINUED"])
def test_a_status_may_be_set(status):
    said = DataSet()
    said.put("PerformedProcedureStepStatus", status)
    assert update_fault(said) is None
    assert (performed_step.END_DATE in required_at_end(status)) == (status != "IN PROGRESS")
