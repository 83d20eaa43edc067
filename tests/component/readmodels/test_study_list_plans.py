"""Searches of a large index go by its indexes: asserted on plans, not on the clock."""

import pytest

from isocenter.infra.db import Database
from isocenter.readmodels.study_list import (
    instances_statement,
    patients_statement,
    series_statement,
    studies_statement,
)
from isocenter.standards.dicom.matching import ListOfUid, SingleValue
from isocenter.standards.dicom.matching_keys import parse_params

STUDIES = 8_000
_FILL = """
insert into archive.study
       (study_instance_uid, patient_id, patient_name, patient_name_normalised,
        patient_name_phonetic, accession_number, study_date, study_time, modalities,
        number_of_series, number_of_instances, first_received_at, last_received_at)
select '1.2.' || n, 'P' || n / 4,
       'Phantom' || mod(n, 2000) || '^Ada', 'phantom' || mod(n, 2000) || '^ada',
       'p535 a300', 'A' || n, date '2020-01-01' + mod(n, 2000), time '08:00',
       array[case mod(n, 3) when 0 then 'CT' when 1 then 'MR' else 'DX' end], 1, 1, now(), now()
  from generate_series(1, %s) n
"""
_FILL_SERIES = """
insert into archive.series
       (study_key, series_instance_uid, modality, number_of_instances, first_received_at,
        last_received_at)
select study_key, study_instance_uid || '.1', modalities[1], 1, now(), now() from archive.study
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
