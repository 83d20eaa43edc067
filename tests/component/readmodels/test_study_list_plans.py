"""Searches of a large index go by its indexes: asserted on plans, not on the clock."""

import pytest

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.infra.db import Database, Tx
from isocenter.readmodels.study_list import (
    instances_statement,
    patients_statement,
    search_instances,
    search_series,
    search_studies,
    series_statement,
    studies_statement,
)
from isocenter.standards.dicom.matching import ListOfUid, SingleValue
from isocenter.standards.dicom.matching_keys import parse_params

VIEWER = Viewer.of(Actor.system("test"), Action.STUDY_READ)
STUDIES = 8_000
_FILL = """
insert into archive.study
       (study_instance_uid, patient_id, patient_name, patient_name_normalised,
        patient_name_phonetic, accession_number, study_date, study_time, modalities,
        study_description, patient_birth_date, number_of_series, number_of_instances,
        first_received_at, last_received_at)
select '1.2.' || n, 'P' || n / 4,
       'Phantom' || mod(n, 2000) || '^Ada', 'phantom' || mod(n, 2000) || '^ada',
       'p535 a300', 'A' || n, date '2020-01-01' + mod(n, 2000), time '08:00',
       array[case when n = 77 then 'ES' else (array['CT', 'MR', 'DX'])[mod(n, 3) + 1] end],
       case mod(n, 2000) when 7 then 'Arthrogram' else 'Chest' end, date '1970-01-01' + n, 1, 1,
       now(), now()
  from generate_series(1, %s) n
"""
_FILL_SERIES = """
insert into archive.series
       (study_key, series_instance_uid, modality, station_name, series_date,
        performed_procedure_step_start_date, number_of_instances, first_received_at,
        last_received_at)
select study_key, study_instance_uid || '.1', modalities[1],
       case mod(study_key, 1000) when 7 then 'CT7' else 'CT1' end, study_date, study_date, 1, now(),
       now()
  from archive.study
"""
_FILL_INSTANCES = """
insert into archive.instance
       (series_key, sop_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size_bytes,
        sha256, dataset_offset, received_at, calling_ae_title)
select series_key, series_instance_uid || '.1', '1.2.3', '1.2.840.10008.1.2', '', 0, '', 0, now(),
       'CT1'
  from archive.series
"""


@pytest.fixture(scope="module")
def large(database_stock):
    """A database with many studies, and statistics of them."""
    url = database_stock.take()
    database = Database(url)
    with database.transaction() as tx:
        tx.run(_FILL, (STUDIES,))
        tx.run(_FILL_SERIES)
        tx.run(_FILL_INSTANCES)
        tx.run("analyze archive.study, archive.series, archive.instance")
    yield database
    database.close()
    database_stock.give_back(url)


def plan_of(database, found) -> str:
    statement, params = found
    with database.transaction() as tx:
        return "\n".join(tx.values("explain " + statement, params))


def conditions(**params: str):
    return parse_params(params.items()).conditions


@pytest.mark.parametrize(
    ("params", "index"),
    [
        ({"PatientID": "P77"}, "study_current_patient"),
        ({"PatientID": "P77*"}, "study_current_patient"),
        ({"AccessionNumber": "A1234"}, "study_current_accession"),
        ({"PatientName": "PHANTOM12*"}, "study_current_name"),
        ({"StudyDate": "20200301", "ModalitiesInStudy": "CT"}, "study_date"),
        ({"StudyDate": "20200301-20200303"}, "study_date"),
        ({"StudyInstanceUID": "1.2.55"}, "study_study_instance_uid_key"),
        ({"StudyDescription": "Arthro*"}, "study_description"),
        ({"PatientBirthDate": "19700301"}, "study_current_birth_date"),
    ],
)
@pytest.mark.parametrize("page", ["", " limit 100"])
def test_common_searches_use_an_index(large, params, index, page):
    statement, values = studies_statement(conditions(**params))
    plan = plan_of(large, (statement + page, values))
    assert index in plan
    assert "Seq Scan on study" not in plan


def test_a_patient_is_found_by_index_and_counted_by_index(large):
    plan = plan_of(large, patients_statement(conditions(PatientID="P77"), patients_max=100))
    assert "Seq Scan" not in plan


def test_relational_searches_begin_where_the_key_is(large):
    series = plan_of(large, series_statement([SingleValue(0x0020000E, "UI", "1.2.55.1")]))
    assert "series_uid" in series
    image = plan_of(large, instances_statement([ListOfUid(0x00080018, ("1.2.3", "1.2.4"))]))
    assert "instance_sop_instance_uid_key" in image
    assert "Seq Scan" not in series + image


@pytest.mark.parametrize(
    ("params", "index"),
    [
        ({"Modality": "ES"}, "series_modality"),
        ({"StationName": "CT7"}, "series_station"),
        ({"SeriesDate": "20200301"}, "series_date"),
        ({"PerformedProcedureStepStartDate": "20200301"}, "series_performed"),
    ],
)
def test_rare_series_are_found_by_index(large, params, index):
    statement, values = series_statement(conditions(**params))
    plan = plan_of(large, (statement + " limit 25", values))
    assert index in plan
    assert "Seq Scan" not in plan


class Explained(Tx):
    """Keeps the plans of the statements that it runs."""

    __slots__ = ("plans",)

    def all(self, row, statement, params=()):
        self.plans.append(self.planned(statement, params))
        return super().all(row, statement, params)

    def value(self, statement, params=()):
        self.plans.append(self.planned(statement, params))
        return super().value(statement, params)

    def values(self, statement, params=()):
        self.plans.append(self.planned(statement, params))
        return super().values(statement, params)

    def planned(self, statement, params) -> str:
        return "\n".join(super().values("explain " + statement, params))


def searched(large, search, **params: str):
    """The UIDs that a search finds, and the plans of its statements."""
    query = parse_params(params.items())
    with large.transaction() as opened:
        tx = Explained(opened._connection)
        tx.plans = []
        rows = search(tx, VIEWER, query.conditions, limit=25, offset=query.offset)
        return [each.study_instance_uid for each in rows], tx.plans


@pytest.mark.parametrize("search", [search_studies, search_series, search_instances])
@pytest.mark.parametrize(
    ("params", "number"),
    [
        ({"PatientID": "*1234*"}, 4),
        ({"AccessionNumber": "*7777*"}, 1),
        ({"PatientName": "*tom1234^*"}, 4),
        ({"PatientName": "Phantm1234 Ada", "fuzzymatching": "true"}, 25),  # all sound alike
        ({"PatientName": "Phantom1234 Ada", "fuzzymatching": "true"}, 25),
        ({"PatientName": "*nobody*"}, 0),
        ({"StudyDescription": "*throgr*"}, 4),
        ({"ReferringPhysicianName": "Nobody"}, 0),
        ({"ModalitiesInStudy": "ES"}, 1),
        ({"ModalitiesInStudy": "CT"}, 25),
    ],
)
def test_parts_of_texts_are_found_by_index_or_among_the_newest(large, search, params, number):
    found, plans = searched(large, search, **params)
    assert len(found) == number
    assert not any("Seq Scan" in each for each in plans)
    if number < 25:
        assert "study_terms" in plans[1]


def test_a_far_page_is_counted_in_the_index(large):
    near, _ = searched(large, search_studies, offset="480")
    far, (plan,) = searched(large, search_studies, offset="500")
    assert far[:5] == near[20:]
    assert "Index Only Scan using study_date" in plan
    assert "Seq Scan" not in plan
