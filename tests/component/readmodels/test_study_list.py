"""Searches over what was admitted, through the matching algebra."""

from datetime import date

import pytest

from isocenter.domain.access.model import Action, Actor, NotAuthorized, Viewer
from isocenter.domain.archive import service as archive
from isocenter.readmodels import study_list
from isocenter.standards.dicom.matching import (
    DateRange,
    FuzzyName,
    ListOfUid,
    PersonName,
    SingleValue,
    Wildcard,
)
from tests.image_builders import NOW, an_instance

MODALITY = Actor.dicom_peer("ct1", "10.0.0.1", ["store"])
VIEWER = Viewer.of(Actor.system("test"), Action.STUDY_READ)


@pytest.fixture
def tx(tx):
    batch = [
        an_instance(study="1.1", series="1.1.1", series_number="2", instance_number="2"),
        an_instance(study="1.1", series="1.1.1", series_number="2", instance_number="1"),
        an_instance(study="1.1", series="1.1.2", series_number="1", modality="SR"),
        an_instance(
            study="1.2",
            series="1.2.1",
            modality="MR",
            patient_id="P-2",
            patient_name="Phantóm^Bob",
            study_date="20260303",
            accession_number="B7",
            study_description="MR knee",
            referring_physician_name="Referrer^Rita",
        ),
        an_instance(study="1.3", series="1.3.1", modality="US", study_date="", study_time=""),
    ]
    archive.admit(tx, MODALITY, batch, now=NOW)
    return tx


def studies(tx, *conditions, **page) -> list[str]:
    found = study_list.search_studies(tx, VIEWER, conditions, **page)
    return [each.study_instance_uid for each in found]


def test_a_study_row(tx):
    row = study_list.search_studies(tx, VIEWER, [ListOfUid(0x0020000D, ("1.1",))])[0]
    assert row.study_date == date(2026, 3, 2)
    assert row.modalities_in_study == ["CT", "SR"]
    assert (row.patient_name, row.patient_id, row.patient_sex) == ("Phantom^Ada", "P-1", "F")
    assert (row.number_of_study_related_series, row.number_of_study_related_instances) == (2, 3)
    assert (row.accession_number, row.study_description) == ("A1", "CT head")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (SingleValue(0x00080061, "CS", "SR"), ["1.1"]),
        (SingleValue(0x00080050, "SH", "B7"), ["1.2"]),
        (Wildcard(0x00081030, "LO", "*knee"), ["1.2"]),
        (DateRange(0x00080020, date(2026, 3, 3), None), ["1.2"]),
        (DateRange(0x00080020, None, date(2026, 3, 2)), ["1.1"]),
        (PersonName(0x00100010, ("phantom^bob",), any_group=True), ["1.2"]),
        (PersonName(0x00080090, ("ref*",), any_group=True), ["1.2"]),
        (FuzzyName(0x00100010, ("fantom", "bob")), []),
        (FuzzyName(0x00100010, ("phantum", "bob")), ["1.2"]),
        (SingleValue(0x00189999, "LO", "not indexed"), ["1.2", "1.1", "1.3"]),
        (SingleValue(0x00100020, "LO", "P-1' or true --"), []),
    ],
)
def test_conditions(tx, condition, expected):
    assert studies(tx, condition) == expected


def test_order_and_pages_are_stable(tx):
    assert studies(tx) == ["1.2", "1.1", "1.3"]
    assert studies(tx, limit=1, offset=1) == ["1.1"]
    assert studies(tx, limit=0) == []


def test_series_and_instances(tx):
    of_study = ListOfUid(0x0020000D, ("1.1",))
    series = study_list.search_series(tx, VIEWER, [of_study])
    found = [(e.series_number, e.modality, e.number_of_series_related_instances) for e in series]
    assert found == [(1, "SR", 1), (2, "CT", 2)]
    instances = study_list.search_instances(
        tx, VIEWER, [of_study, SingleValue(0x00080060, "CS", "CT")]
    )
    assert [each.instance_number for each in instances] == [1, 2]
    assert {each.available_transfer_syntax_uid for each in instances} == {"1.2.840.10008.1.2.1"}
    assert (instances[0].rows, instances[0].bits_allocated) == (512, 16)


def test_nobody_searches_without_permission(tx):
    front_desk = Actor.hl7_peer("ehr", "10.0.0.9", ["adt"])
    with pytest.raises(NotAuthorized):
        Viewer.of(front_desk, Action.STUDY_READ)
    with pytest.raises(NotAuthorized):
        study_list.search_studies(tx, Viewer(front_desk, Action.STUDY_READ), [])
