"""Records of splits: what is written is read again, and what is damaged is refused."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from isocenter.domain.archive.model_split_records import (
    RECORD_MARK,
    RecordDamaged,
    RecordedSeries,
    SplitRecord,
    StatedIdentity,
    decode_record,
)

RECORD = SplitRecord(
    study_instance_uid="1.2.1",
    to_study_instance_uid="2.25.7",
    joins=False,
    reason="not changed at the scanner",
    split_by="ida",
    split_at=datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=UTC),
    undone_at=None,
    undone_by=None,
    series=(
        RecordedSeries(
            series_instance_uid="1.2.1.1", to_series_instance_uid="2.25.8", is_whole=True
        ),
    ),
    instances={"1.2.1.1.1": "2.25.9"},
    stated=StatedIdentity(
        patient_id="PH9", patient_name="Phantom^Zoë", patient_birth_date=date(1988, 8, 8)
    ),
    recorded_at=datetime(2026, 3, 2, 8, 0, 5, tzinfo=UTC),
)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(RECORD, joins=True, stated=StatedIdentity()),
        replace(RECORD, undone_at=RECORD.recorded_at, undone_by="ida"),
    ],
)
def test_what_is_written_is_read(record):
    data = record.encode()
    assert data.startswith(RECORD_MARK)
    assert decode_record(data) == record


def test_it_says_what_a_header_says():
    assert RECORD.stated.texts() == {
        0x00100020: "PH9",
        0x00100010: "Phantom^Zoë",
        0x00100030: "19880808",
    }


def without(name):
    document = json.loads(RECORD.encode())
    del document[name]
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        RECORD.encode()[:-9],
        RECORD.encode().replace(b'"version":1', b'"version":2'),
        RECORD.encode().replace(b"2026-03-02T08", b"2026-33-02T08"),
        without("instances"),
        b"[]",
    ],
)
def test_what_is_damaged_or_newer_is_refused(data):
    with pytest.raises(RecordDamaged):
        decode_record(data)
