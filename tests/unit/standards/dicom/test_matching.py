"""The matching algebra: conditions from identifiers and parameters, and what they match."""

from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

# DA and TM values have no time zone: their moments are naive.
# ruff: noqa: DTZ001
from isocenter.standards.dicom import matching as m
from isocenter.standards.dicom.matching_keys import (
    UnknownParameterError,
    UnmatchableKeyError,
    parse_identifier,
    parse_params,
)
from isocenter.standards.dicom.matching_reference import matches, wildcard_matches
from isocenter.standards.dicom.values import DataSet
from tests.raising import check_raises_only

PATIENT_NAME, PATIENT_ID, STUDY_DATE, STUDY_TIME = 0x00100010, 0x00100020, 0x00080020, 0x00080030
STUDY_UID, MODALITIES, SPS, SPS_DATE, SPS_TIME = (
    0x0020000D,
    0x00080061,
    0x00400100,
    0x00400002,
    0x00400003,
)


def dataset(**values) -> DataSet:
    found = DataSet()
    for keyword, value in values.items():
        found.put(keyword, *(value if isinstance(value, tuple) else (value,)))
    return found


def conditions(fuzzy=False, combined=False, **keys):
    return parse_identifier(dataset(**keys), fuzzy=fuzzy, combined_date_time=combined).conditions


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"PatientID": ()}, ()),
        ({"PatientID": "*"}, ()),
        ({"PatientID": "**"}, ()),
        ({"PatientID": "A1"}, (m.SingleValue(PATIENT_ID, "LO", "A1"),)),
        ({"PatientID": "A?*"}, (m.Wildcard(PATIENT_ID, "LO", "A?*"),)),
        ({"PatientID": '""'}, (m.EmptyValue(PATIENT_ID),)),
        ({"StudyInstanceUID": "1.2"}, (m.SingleValue(STUDY_UID, "UI", "1.2"),)),
        ({"StudyInstanceUID": ("1.2", "1.3")}, (m.ListOfUid(STUDY_UID, ("1.2", "1.3")),)),
        ({"StudyInstanceUID": "*"}, ()),
        ({"StudyDate": "20260101"}, (m.DateRange(STUDY_DATE, date(2026, 1, 1), date(2026, 1, 1)),)),
        ({"StudyDate": "20260101-"}, (m.DateRange(STUDY_DATE, date(2026, 1, 1), None),)),
        ({"StudyDate": "-20260101"}, (m.DateRange(STUDY_DATE, None, date(2026, 1, 1)),)),
        (
            {"StudyTime": "10-1130"},
            (m.TimeRange(STUDY_TIME, time(10), time(11, 30, 59, 999999)),),
        ),
        (
            {"ModalitiesInStudy": ("CT", "M*")},
            (
                m.AnyOf(
                    MODALITIES,
                    (m.SingleValue(MODALITIES, "CS", "CT"), m.Wildcard(MODALITIES, "CS", "M*")),
                ),
            ),
        ),
        ({"PatientName": "Doe^J*"}, (m.PersonName(PATIENT_NAME, ("doe^j*",), any_group=True),)),
        ({"PatientName": "Müller"}, (m.PersonName(PATIENT_NAME, ("muller",), any_group=True),)),
        ({"PatientName": "=山田*"}, (m.PersonName(PATIENT_NAME, ("", "山田*"), any_group=False),)),
        ({"NumberOfFrames": "12"}, (m.SingleValue(0x00280008, "IS", "12"),)),
    ],
)
def test_keys_become_conditions(keys, expected):
    assert conditions(**keys) == expected


def test_fuzzy_names_are_words():
    assert conditions(fuzzy=True, PatientName="Doe^J*") == (
        m.FuzzyName(PATIENT_NAME, ("doe", "j")),
    )


def test_elements_that_steer_are_no_keys():
    query = parse_identifier(
        dataset(SpecificCharacterSet="ISO_IR 100", QueryRetrieveLevel="STUDY", PatientID=())
    )
    assert query.conditions == ()
    assert query.returned == {PATIENT_ID}


def test_worklist_steps_combine_date_and_time_in_one_item():
    item = dataset(
        ScheduledProcedureStepStartDate="20260101-20260102",
        ScheduledProcedureStepStartTime="2200-0600",
        Modality="CT",
        ScheduledProcedureStepDescription=(),
    )
    found = conditions(ScheduledProcedureStepSequence=item)
    span = m.CombinedDateTimeRange(
        SPS_DATE,
        SPS_TIME,
        datetime(2026, 1, 1, 22),
        datetime(2026, 1, 2, 6, 0, 59, 999999),
    )
    assert found == (m.SequenceMatch(SPS, (m.SingleValue(0x00080060, "CS", "CT"), span)),)
    night = dataset(
        Modality="CT",
        ScheduledProcedureStepStartDate="20260102",
        ScheduledProcedureStepStartTime="0530",
    )
    assert matches(found, dataset(ScheduledProcedureStepSequence=night))
    noon = dataset(
        Modality="CT",
        ScheduledProcedureStepStartDate="20260101",
        ScheduledProcedureStepStartTime="12",
    )
    assert not matches(found, dataset(ScheduledProcedureStepSequence=noon))


def test_one_item_must_fulfil_everything_that_is_asked_of_the_sequence():
    asked = conditions(
        ScheduledProcedureStepSequence=dataset(Modality="CT", ScheduledStationAETitle="A")
    )
    split = (
        dataset(Modality="CT", ScheduledStationAETitle="B"),
        dataset(Modality="MR", ScheduledStationAETitle="A"),
    )
    assert not matches(asked, dataset(ScheduledProcedureStepSequence=split))
    whole = (*split, dataset(Modality="CT", ScheduledStationAETitle="A"))
    assert matches(asked, dataset(ScheduledProcedureStepSequence=whole))
    assert conditions(ScheduledProcedureStepSequence=DataSet()) == ()


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", "yesterday"),
        ("StudyDate", "-"),
        ("StudyDate", "20261301"),
        ("StudyDate", "20260101-x"),
        ("StudyTime", "9h"),
        ("StudyTime", "-"),
        ("AcquisitionDateTime", "x"),
        ("NumberOfFrames", "many"),
        ("PatientWeight", "1e9999"),
    ],
)
def test_keys_without_sense_are_refused_with_their_tag(keyword, value):
    with pytest.raises(UnmatchableKeyError) as caught:
        conditions(**{keyword: value})
    assert keyword in str(caught.value)


@pytest.mark.parametrize(
    ("value", "stored", "expected"),
    [
        ("2026", "20260704120000", True),
        ("2026-2027", "20271231", True),
        ("20260704100000-0500", "20260704150000+0000", True),
        ("20260704100000-0500-20260704110000-0500", "20260704153000+0000", True),
        ("20260704100000-0500-20260704110000-0500", "20260704103000+0000", False),
        ("-20260704", "20260703", True),
        ("20260704-", "20260703", False),
    ],
)
def test_date_time_ranges_and_offsets(value, stored, expected):
    asked = conditions(AcquisitionDateTime=value)
    assert matches(asked, dataset(AcquisitionDateTime=stored)) is expected


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("doe^john", "Doe^John^^^", True),
        ("DOE*", "Doe^John", True),
        ("Doe", "Doe^John", False),
        ("muller*", "Müller^Ada", True),
        ("MÜLLER*", "Mueller^Ada", False),
        ("山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("Yamada*=山*", "Yamada^Tarou=山田^太郎", True),
        ("Yamada*=川*", "Yamada^Tarou=山田^太郎", False),
        ("か*", "が", False),
        ("D?e*", "Doe^Jane", True),
    ],
)
def test_names_match_without_case_and_accents(key, name, expected):
    assert matches(conditions(PatientName=key), dataset(PatientName=name)) is expected


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("Smith", "Smyth^John", True),
        ("john smi", "Smith^John", True),
        ("Meier", "Mayer^Ada", True),
        ("Jones", "Smith^John", False),
        ("*phant*", "Phantom^Ada", True),
    ],
)
def test_fuzzy_names_match_by_beginning_or_sound(key, name, expected):
    assert matches(conditions(fuzzy=True, PatientName=key), dataset(PatientName=name)) is expected


def test_phonetic_keys_of_the_published_examples():
    # The examples of the U.S. National Archives for American Soundex.
    expected = {
        "washington": "w252", "lee": "l000", "gutierrez": "g362", "pfister": "p236",
        "jackson": "j250", "tymczak": "t522", "ashcraft": "a261",
    }  # fmt: skip
    assert {word: m.phonetic_key(word) for word in expected} == expected


def test_absent_and_empty_attributes():
    assert not matches(conditions(PatientID="A*"), DataSet())
    assert matches(conditions(PatientID='""'), DataSet())
    assert matches(conditions(PatientID='""'), dataset(PatientID=()))
    assert not matches(conditions(PatientID='""'), dataset(PatientID="A"))
    assert matches(conditions(PatientID="A"), dataset(PatientID=("B", "A")))
    assert not matches(conditions(PatientID="a"), dataset(PatientID="A"))
    assert matches(conditions(NumberOfFrames="12"), dataset(NumberOfFrames="012"))


@given(st.text("ab*?", max_size=6), st.text("ab", max_size=6))
def test_wildcards_agree_with_a_second_implementation(pattern, text):
    def fits(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return fits(p[1:], t) or (bool(t) and fits(p, t[1:]))
        return bool(t) and p[0] in {"?", t[0]} and fits(p[1:], t[1:])

    assert wildcard_matches(pattern, text) is fits(pattern, text)


@given(st.dates(date(1900, 1, 1)), st.dates(date(1900, 1, 1)), st.dates(date(1900, 1, 1)))
def test_date_ranges_hold_both_ends(first, last, stored):
    asked = conditions(StudyDate=f"{first:%Y%m%d}-{last:%Y%m%d}")
    assert matches(asked, dataset(StudyDate=f"{stored:%Y%m%d}")) is (first <= stored <= last)


@given(
    st.text(max_size=20), st.sampled_from(["PatientName", "StudyDate", "PatientID", "StudyTime"])
)
def test_any_text_is_a_condition_or_refused(text, keyword):
    key = {keyword: text.replace("\\", "")}
    found = check_raises_only(UnmatchableKeyError, conditions, **key)
    assert found is None or matches(found, dataset(**{keyword: "20260101"})) in {True, False}


def test_query_parameters():
    query = parse_params(
        [
            ("00100020", "*X1*"),
            ("ModalitiesInStudy", "CT,MR"),
            ("StudyInstanceUID", "1.2\\1.3"),
            ("StudyInstanceUID", "1.4"),
            ("RequestAttributesSequence.00400009", "SPS1"),
            ("includefield", "00081030,00080060"),
            ("includefield", "ReferringPhysicianName"),
            ("fuzzymatching", "true"),
            ("limit", "101"),
            ("offset", "0"),
            ("accept", "application/dicom+json"),
        ],
        ignored=frozenset({"accept"}),
    )
    assert m.Wildcard(PATIENT_ID, "LO", "*X1*") in query.conditions
    assert m.ListOfUid(STUDY_UID, ("1.2", "1.3", "1.4")) in query.conditions
    either = (m.SingleValue(MODALITIES, "CS", "CT"), m.SingleValue(MODALITIES, "CS", "MR"))
    assert m.AnyOf(MODALITIES, either) in query.conditions
    step = m.SequenceMatch(0x00400275, (m.SingleValue(0x00400009, "SH", "SPS1"),))
    assert step in query.conditions
    assert (query.limit, query.offset, query.fuzzy, query.all_fields) == (101, 0, True, False)
    assert query.returned >= {0x00081030, 0x00080060, 0x00080090, PATIENT_ID, 0x00400275}
    assert parse_params([("includefield", "all")]).all_fields


@pytest.mark.parametrize(
    ("name", "value"),
    [("NoSuch", "1"), ("limit", "-1"), ("limit", "x"), ("offset", ""), ("fuzzymatching", "1"),
     ("includefield", "NoSuch"), ("PatientID.Modality.", "x"), ("0010002", "x"),
     ("limit", "9" * 20)],
)  # fmt: skip
def test_unknown_parameters_are_refused(name, value):
    with pytest.raises((UnknownParameterError, UnmatchableKeyError)):
        parse_params([(name, value)])


def test_tags_of_conditions():
    found = conditions(combined=True, StudyDate="20260101-", StudyTime="10-", PatientID="A")
    assert m.tags_of(found) == {STUDY_DATE, STUDY_TIME, PATIENT_ID}
