"""The SQL of a condition selects exactly the rows that the reference implementation accepts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isocenter.infra.db import Tx
from isocenter.infra.db.where import Column, Items, UnmappedKey, supported, where
from isocenter.standards.dicom.matching import (
    Condition,
    DateTimeRange,
    EmptyValue,
    PersonName,
    SequenceMatch,
    SingleValue,
    Wildcard,
    person_name_key,
    phonetic_keys,
)
from isocenter.standards.dicom.matching_keys import parse_identifier
from isocenter.standards.dicom.matching_reference import matches
from isocenter.standards.dicom.values import DataSet

ACCESSION, MODALITIES, NAME, UID = 0x00080050, 0x00080061, 0x00100010, 0x0020000D
NUMBER, DAY, AT, STEPS, CODES = 0x00201208, 0x00080020, 0x00080030, 0x00400100, 0x00400008
STEP_DAY, STEP_AT, STATION, CODE_VALUE = 0x00400002, 0x00400003, 0x00400001, 0x00080100
MOMENT = 0x00404005

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

STEP_COLUMNS = {
    STEP_DAY: Column("day", "date"),
    STEP_AT: Column("at", "time"),
    STATION: Column("modalities", "text_array"),
    CODES: Items({CODE_VALUE: Column("code.value")}, "unnest(codes) as code(value)"),
}
COLUMNS = {
    ACCESSION: Column("accession"),
    UID: Column("uid"),
    MODALITIES: Column("modalities", "text_array"),
    NAME: Column("name", "person_name", phonetic="phonetic"),
    NUMBER: Column("number", "number"),
    DAY: Column("day", "date"),
    AT: Column("at", "time"),
    MOMENT: Column("moment", "datetime"),
    STEPS: Items(STEP_COLUMNS),
}


@dataclass
class Row:
    """One row, as values of the columns and as the data set that it stands for."""

    accession: str
    uid: str
    modalities: list[str]
    name: str
    number: int | None
    day: date | None
    at: time | None
    moment: datetime | None
    codes: list[str]

    def dataset(self) -> DataSet:
        dataset = DataSet()
        step = DataSet()
        for target, tag, vr, values in (
            (dataset, ACCESSION, "SH", [self.accession]),
            (dataset, UID, "UI", [self.uid]),
            (dataset, MODALITIES, "CS", self.modalities),
            (dataset, NAME, "PN", [self.name]),
            (dataset, NUMBER, "IS", [] if self.number is None else [str(self.number)]),
            (dataset, DAY, "DA", [f"{self.day:%Y%m%d}"] if self.day else []),
            (dataset, AT, "TM", [] if self.at is None else [f"{self.at:%H%M%S}"]),
            (
                dataset,
                MOMENT,
                "DT",
                [] if self.moment is None else [f"{self.moment:%Y%m%d%H%M%S}+0000"],
            ),
            (step, STEP_DAY, "DA", [f"{self.day:%Y%m%d}"] if self.day else []),
            (step, STEP_AT, "TM", [] if self.at is None else [f"{self.at:%H%M%S}"]),
            (step, STATION, "AE", self.modalities),
        ):
            target.put(tag, *[value for value in values if value], vr=vr)
        codes = []
        for each in self.codes:
            code = DataSet()
            code.put(CODE_VALUE, each, vr="SH")
            codes.append(code)
        step.put(CODES, *codes, vr="SQ")
        dataset.put(STEPS, step, vr="SQ")
        return dataset


# Few letters, so that values meet; the characters that mean something to LIKE or to names.
TEXTS = st.text("aAb%_\\ .é=^-'\"", max_size=5).map(str.strip).filter(lambda t: t != '""')
PLAIN = st.text("aAb%_1", max_size=4)
NAME_PARTS = st.sampled_from([
    "",
    "Doe",
    "doe",
    "DÖE",
    "Døe",
    "Smith",
    "Smyth",
    "Ann",
    "山田",
    "A%_",
])
NAMES = st.builds(
    lambda groups: "=".join("^".join(group) for group in groups),
    st.lists(st.lists(NAME_PARTS, max_size=3), max_size=3),
)
DAYS = st.sampled_from([date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 2)])
TIMES = st.sampled_from([time(0), time(9, 30), time(9, 30, 59), time(23, 59, 59)])
MOMENTS = st.none() | st.builds(datetime.combine, DAYS, TIMES)
CODES_LISTS = st.lists(st.sampled_from(["c1", "c2"]), max_size=2)
ROWS = st.builds(
    Row,
    accession=PLAIN,
    uid=st.sampled_from(["1.2.3", "1.2.4", ""]),
    modalities=st.lists(st.sampled_from(["CT", "MR", "C%", "AE1"]), max_size=2),
    name=NAMES,
    number=st.none() | st.integers(-2, 12),
    day=st.none() | DAYS,
    at=st.none() | TIMES,
    moment=MOMENTS,
    codes=CODES_LISTS,
)


def _ranged(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.just(""),
        values,
        values.map(lambda one: one + "-"),
        values.map(lambda one: "-" + one),
        st.tuples(values, values).map("-".join),
    )


DAY_KEYS = _ranged(DAYS.map(lambda day: f"{day:%Y%m%d}"))
TIME_KEYS = _ranged(st.sampled_from(["00", "0930", "093000", "235959", "093059"]))
PATTERNS = st.text("aAb%_1*?", max_size=4) | st.just('""')
NAME_KEYS = NAMES | st.builds(
    lambda name, at, wild: name[:at] + wild + name[at:],
    NAMES,
    st.integers(0, 6),
    st.sampled_from(["*", "?"]),
)


@st.composite
def identifiers(draw: st.DrawFn) -> DataSet:
    """An identifier with some keys."""
    identifier, step = DataSet(), DataSet()
    keys = {
        ACCESSION: ("SH", PATTERNS),
        UID: ("UI", st.sampled_from(["1.2.3", "1.2.3\\1.2.4", "*", ""])),
        MODALITIES: ("CS", st.sampled_from(["CT", "C*", "?R", "C%", "CT\\MR", '""', "*"])),
        NAME: ("PN", NAME_KEYS),
        NUMBER: ("IS", st.sampled_from(["3", "03", "-1", ""])),
        DAY: ("DA", DAY_KEYS),
        AT: ("TM", TIME_KEYS),
    }
    inside = {
        STEP_DAY: ("DA", DAY_KEYS),
        STEP_AT: ("TM", TIME_KEYS),
        STATION: ("AE", st.sampled_from(["CT", "AE1", "AE?", ""])),
    }
    for tag in draw(st.sets(st.sampled_from(sorted(keys)), max_size=3)):
        vr, values = keys[tag]
        identifier.put(tag, *draw(values).split("\\"), vr=vr)
    for tag in draw(st.sets(st.sampled_from(sorted(inside)), max_size=3)):
        vr, values = inside[tag]
        step.put(tag, draw(values), vr=vr)
    if draw(st.booleans()):
        code = DataSet()
        code.put(CODE_VALUE, draw(st.sampled_from(["c1", "c*", ""])), vr="SH")
        step.put(CODES, code, vr="SQ")
    if step:
        identifier.put(STEPS, step, vr="SQ")
    return identifier


CREATE = """
create temporary table given (
    position int, accession text, uid text, modalities text[], name text, phonetic text,
    number int, day date, at time, moment timestamptz, codes text[]
) on commit drop
"""
INSERT = "insert into given values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


def _selected(tx: Tx, rows: list[Row], conditions: list[Condition]) -> list[int]:
    tx.run("delete from given")
    tx.run_many(
        INSERT,
        [
            (
                position,
                row.accession or None,
                row.uid,
                row.modalities,
                person_name_key(row.name),
                " ".join(phonetic_keys(row.name)),
                row.number,
                row.day,
                row.at,
                row.moment and row.moment.replace(tzinfo=UTC),
                row.codes,
            )
            for position, row in enumerate(rows)
        ],
    )
    clause, parameters = where(conditions, COLUMNS)
    return tx.values("select position from given where " + clause + " order by 1", parameters)


@pytest.fixture
def given_table(tx: Tx) -> Tx:
    tx.run(CREATE)
    return tx


HYPOTHESIS = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@HYPOTHESIS
@given(rows=st.lists(ROWS, min_size=1, max_size=6), identifier=identifiers(), fuzzy=st.booleans())
def test_selects_what_the_reference_accepts(given_table, rows, identifier, fuzzy):
    query = parse_identifier(identifier, fuzzy=fuzzy, combined_date_time=True)
    expected = [i for i, row in enumerate(rows) if matches(query.conditions, row.dataset())]
    assert _selected(given_table, rows, list(query.conditions)) == expected


@HYPOTHESIS
@given(moments=st.lists(MOMENTS, min_size=1, max_size=6), ends=st.tuples(MOMENTS, MOMENTS))
def test_moments_without_zone_count_as_utc(given_table, moments, ends):
    rows = [Row("A", "1.2", ["CT"], "Doe", 1, None, None, each, []) for each in moments]
    conditions: list[Condition] = [DateTimeRange(MOMENT, *ends)]
    expected = [i for i, row in enumerate(rows) if matches(conditions, row.dataset())]
    assert _selected(given_table, rows, conditions) == expected


@pytest.mark.parametrize("tag", [ACCESSION, MODALITIES, NAME, NUMBER, DAY, AT, MOMENT])
def test_an_absent_value_is_found_as_empty(given_table, tag):
    absent = Row("", "", [], "", None, None, None, None, [])
    present = Row("A", "1.2", ["CT"], "Doe", 1, date(2026, 1, 1), time(1), NOON, [])
    assert _selected(given_table, [absent, present], [EmptyValue(tag)]) == [0]


def test_an_attribute_without_column_is_refused_and_can_be_left_out():
    unknown = SingleValue(0x00100020, "LO", "1")
    inside = SequenceMatch(STEPS, (unknown, SingleValue(STATION, "AE", "CT")))
    with pytest.raises(UnmappedKey):
        where([unknown], COLUMNS)
    assert supported([unknown, inside, SequenceMatch(STEPS, (unknown,))], COLUMNS) == (
        SequenceMatch(STEPS, (SingleValue(STATION, "AE", "CT"),)),
    )


@pytest.mark.parametrize("literal", ["%", "_", "\\"])
@pytest.mark.parametrize("tag", [ACCESSION, MODALITIES, NAME])
def test_what_like_takes_for_a_wildcard_is_a_character(given_table, tag, literal):
    rows = [
        Row(f"a{letter}1", "", [f"a{letter}1"], f"a{letter}1", None, None, None, None, [])
        for letter in (literal, "x")
    ]
    wanted = f"a{literal}*"
    key = PersonName(tag, (wanted,), any_group=True) if tag == NAME else Wildcard(tag, "SH", wanted)
    assert _selected(given_table, rows, [key]) == [0]
