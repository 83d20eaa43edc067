"""The audit record: it cannot be changed, and where it was, that shows."""

import time

import psycopg
import pytest

from isocenter.domain.audit import service
from isocenter.domain.audit.model import AuditEntry, AuditFilter
from isocenter.infra.db import ConstraintViolation
from tests.builders import NOON, after_noon


def an_entry(number, **other):
    usual = {
        "action": "patient.register",
        "actor": "EHR",
        "actor_kind": "hl7_peer",
        "source": "192.0.2.10",
        "object_type": "patient",
        "object_id": f"P{number}",
        "patient_id": f"P{number}",
        "detail": {"changed": ["person_name"], "ümlaut": 1.5},
    }
    return AuditEntry(**(usual | other))


@pytest.fixture
def records(database):
    with database.transaction() as tx:
        service.record(tx, an_entry(0), now=NOON)
        service.record_many(tx, [an_entry(n) for n in range(1, 6)], now=after_noon(1))
    return database


def seal_all(database):
    """Seal until nothing is left: other databases' transactions on the server may hold it up."""
    sealed = 0
    for _ in range(500):
        with database.transaction() as tx:
            sealed += service.seal(tx, limit=4)
            if not tx.value("select count(*) from audit.record where chain_position is null"):
                return sealed
        time.sleep(0.02)
    raise AssertionError("records stay unsealed")


@pytest.mark.parametrize(
    "statement",
    [
        "update audit.record set actor = 'nobody'",
        "delete from audit.record",
        "truncate audit.record",
        "update audit.record set chain_position = 1, previous_digest = '', digest = '', actor = ''",
    ],
)
def test_records_are_neither_changed_nor_deleted(records, statement):
    with pytest.raises(ConstraintViolation), records.transaction() as tx:
        tx.run(statement)


def test_a_sealed_record_is_not_sealed_again(records):
    seal_all(records)
    with pytest.raises(ConstraintViolation), records.transaction() as tx:
        tx.run("update audit.record set digest = '\\x00'")


def test_an_untouched_record_is_whole(records):
    assert seal_all(records) == 6
    with records.transaction() as tx:
        assert service.seal(tx) == 0
        assert service.verify_chain(tx) is None
        assert service.chain_end(tx)[0] == 6


def tamper(database, statement):
    """What only someone who rules the database can do."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("alter table audit.record disable trigger all")
        connection.execute(statement)
        connection.execute("alter table audit.record enable trigger all")


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("update audit.record set actor = 'nobody' where record_key = 3", 3),
        ("update audit.record set detail = '{}' where record_key = 1", 1),
        ("update audit.record set recorded_at = now() where record_key = 6", 6),
        ("delete from audit.record where record_key = 4", 5),
        (
            "update audit.record set chain_position = case record_key when 2 then 1003"
            " else 1002 end where record_key in (2, 3)",
            4,
        ),
    ],
)
def test_tampering_shows_at_its_place(records, statement, broken_at):
    seal_all(records)
    tamper(records, statement)
    with records.transaction() as tx:
        assert service.verify_chain(tx) == broken_at


def test_what_is_not_committed_yet_is_sealed_later_and_in_one_chain(database):
    with database.transaction() as slow:
        service.record(slow, an_entry(0), now=NOON)
        with database.transaction() as fast:
            service.record(fast, an_entry(1), now=NOON)
        with database.transaction() as sealer:
            assert service.seal(sealer) == 0
    assert seal_all(database) == 2
    with database.transaction() as sealer:
        assert service.verify_chain(sealer) is None


def test_records_are_found_by_patient_actor_and_time(records):
    with records.transaction() as tx:
        service.record(tx, an_entry(3, action="patient.read", actor="ada"), now=after_noon(9))
        found = service.search(tx, AuditFilter(patient_id="P3"))
        assert [each.action for each in found] == ["patient.read", "patient.register"]
        assert [e.object_id for e in service.search(tx, AuditFilter(actor="ada"))] == ["P3"]
        early = service.search(tx, AuditFilter(recorded_to=after_noon(1)))
        assert [each.object_id for each in early] == ["P0"]
        page = service.search(tx, AuditFilter(before=found[0].record_key), limit=2)
        assert [each.object_id for each in page] == ["P5", "P4"]
