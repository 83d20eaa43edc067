"""C-FIND over few and over many matches: at one go or as a stream, the same answers."""

from dataclasses import replace

import pytest

from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditFilter
from isocenter.gateways.dimse.find import StudyQuery, TooManyMatches
from isocenter.gateways.dimse.ports import Caller, Grant, QueryRequest, Service
from isocenter.infra.db import ConstraintViolation
from isocenter.infra.pools import Pool
from isocenter.standards.dicom.dictionary import tag_of
from isocenter.standards.dicom.query_retrieve import BASELINE
from isocenter.standards.dicom.uids import STUDY_ROOT_FIND
from isocenter.standards.dicom.values import DataSet
from tests.image_builders import NOW

STUDIES = 230  # more than are answered at one go
ACCESSION_NUMBER, STUDY_INSTANCE_UID, LEVEL = 0x00080050, 0x0020000D, 0x00080052
FILL = """
insert into archive.study (study_instance_uid, accession_number, study_date, first_received_at,
                           last_received_at)
select '1.2.' || n, 'A' || n, date '2026-01-01' + n, now(), now() from generate_series(1, %s) n
"""


@pytest.fixture
def query(database):
    with database.transaction() as tx:
        tx.run(FILL, (STUDIES,))
    pool = Pool(database, threads=1)
    yield lambda most: StudyQuery(pool, clock=lambda: NOW, ae_title="OURS", matches_max=most)
    pool.close()


def asked(accession_number: str = "", **more: str) -> QueryRequest:
    identifier = DataSet()
    identifier.put(LEVEL, "STUDY")
    identifier.put(ACCESSION_NUMBER, accession_number)
    identifier.put(STUDY_INSTANCE_UID)
    for keyword, value in more.items():
        identifier.put(tag_of(keyword), value)
    return QueryRequest(
        Caller("WORKSTATION", "OURS", "192.0.2.7"),
        Grant("WORKSTATION", frozenset({Service.FIND})),
        STUDY_ROOT_FIND,
        identifier,
        replace(BASELINE, timezone="TimezoneOffsetFromUTC" in more),
    )


def found(matches) -> list[str]:
    return [each.text(STUDY_INSTANCE_UID) for each in matches]


@pytest.mark.parametrize("most", [STUDIES, 10_000])
def test_all_matches_are_given_once_newest_first(query, most):
    newest_first = [f"1.2.{n}" for n in range(STUDIES, 0, -1)]
    assert found(query(most)(asked())) == newest_first
    assert found(query(most)(asked("A?"))) == newest_first[-9:]


@pytest.mark.parametrize("most", [5, 200, STUDIES - 1])
def test_too_many_are_said_after_the_first(query, most):
    matches = query(most)(asked())
    assert len(found(next(matches) for _ in range(most))) == most
    with pytest.raises(TooManyMatches):
        next(matches)


def test_each_search_is_on_record_once(database, query):
    for each in ("A1", ""):
        list(query(10_000)(asked(each)))
    with database.read() as tx:
        records = audit.search(tx, AuditFilter(action="study.search"))
    assert [each.actor for each in records] == ["WORKSTATION"] * 2


@pytest.mark.parametrize("wanted", ["A1", ""])  # at one go, and as a stream
def test_nothing_is_answered_that_cannot_be_put_on_record(database, query, wanted):
    with database.transaction() as tx:
        tx.run("alter table audit.record add check (actor <> 'WORKSTATION') not valid")
    with pytest.raises(ConstraintViolation):
        query(10_000)(asked(wanted))


# Asked in the installation's zone, and in another one.
@pytest.mark.parametrize("more", [{}, {"TimezoneOffsetFromUTC": "+0500", "StudyDate": "20260101-"}])
def test_a_search_that_is_given_up_lends_its_connection_to_the_next(make_database, more):
    database = make_database(connections_max=1)
    pool = Pool(database, threads=1)
    with database.transaction() as tx:
        tx.run(FILL, (2000,))  # more than the connection holds at once
    query = StudyQuery(pool, clock=lambda: NOW, ae_title="OURS")
    matches = query(asked(**more))
    next(matches)
    matches.close()
    assert found(query(asked("A7"))) == ["1.2.7"]
    pool.close()


def test_values_that_an_administrator_indexed_come_with_many_matches(database, query):
    with database.transaction() as tx:
        key = tx.value(
            "insert into archive.indexed_attribute (tag, name, vr, level, state, added_at,"
            " added_by) values (%s, 'InstitutionalDepartmentName', 'LO', 'study', 'ready',"
            " now(), 'desk')"
            " returning attribute_key",
            (tag_of("InstitutionalDepartmentName"),),
        )
        tx.run(
            "insert into archive.series (study_key, series_instance_uid, first_received_at,"
            " last_received_at) select study_key, '1.3', now(), now() from archive.study"
        )
        tx.run(
            "insert into archive.attribute_value (attribute_key, entity_key, series_key, position,"
            " value, matched) select %s, study_key, series_key, 0, 'East', 'East'"
            "  from archive.series",
            (key,),
        )
    matches = query(10_000)(asked(InstitutionalDepartmentName="East"))
    values = [each.text(tag_of("InstitutionalDepartmentName")) for each in matches]
    assert values == ["East"] * STUDIES
