"""What identifiers ask for, and which of them are refused."""

import pytest

from isocenter.standards.dicom import uids
from isocenter.standards.dicom.matching import FuzzyName, SingleValue
from isocenter.standards.dicom.query_retrieve import (
    BASELINE,
    FIND_EXTENSIONS,
    Extensions,
    IdentifierMismatchError,
    Level,
    agree,
    agreed_extensions,
    answer_information,
    parse_query,
    parse_retrieval,
)
from isocenter.standards.dicom.values import DataSet

FIND_P, FIND_S = uids.PATIENT_ROOT_FIND, uids.STUDY_ROOT_FIND
MOVE_P, GET_S = uids.PATIENT_ROOT_MOVE, uids.STUDY_ROOT_GET
RELATIONAL = Extensions(relational=True)


def an_identifier(level: str | None, **keys: str) -> DataSet:
    identifier = DataSet()
    if level is not None:
        identifier.put("QueryRetrieveLevel", level)
    for keyword, value in keys.items():
        identifier.put(keyword, *value.split("\\") if value else ())
    return identifier


@pytest.mark.parametrize(
    ("sop_class", "identifier", "extensions", "level"),
    [
        (FIND_S, an_identifier("STUDY"), BASELINE, Level.STUDY),
        (FIND_S, an_identifier("STUDY ", PatientName="A*"), BASELINE, Level.STUDY),
        (FIND_S, an_identifier("SERIES", StudyInstanceUID="1.2"), BASELINE, Level.SERIES),
        (FIND_S, an_identifier("SERIES"), BASELINE, None),
        (FIND_S, an_identifier("SERIES"), RELATIONAL, Level.SERIES),
        (FIND_S, an_identifier("SERIES", StudyInstanceUID="1.2\\1.3"), BASELINE, None),
        (FIND_S, an_identifier("SERIES", StudyInstanceUID="*"), BASELINE, None),
        (FIND_S, an_identifier("IMAGE", StudyInstanceUID="1.2"), BASELINE, None),
        (FIND_S, an_identifier("PATIENT"), RELATIONAL, None),
        (FIND_S, an_identifier(None), RELATIONAL, None),
        (FIND_S, an_identifier("study"), BASELINE, None),
        (FIND_P, an_identifier("PATIENT"), BASELINE, Level.PATIENT),
        (FIND_P, an_identifier("STUDY", PatientID="P1"), BASELINE, Level.STUDY),
        (FIND_P, an_identifier("STUDY"), BASELINE, None),
        (FIND_P, an_identifier("STUDY", PatientID="P*"), BASELINE, None),
    ],
)
def test_which_queries_are_of_their_class(sop_class, identifier, extensions, level):
    if level is None:
        with pytest.raises(IdentifierMismatchError):
            parse_query(identifier, sop_class, extensions)
    else:
        assert parse_query(identifier, sop_class, extensions).level is level


def test_unique_keys_are_returned_without_being_asked_for():
    query = parse_query(an_identifier("SERIES", StudyInstanceUID="1.2"), FIND_S)
    assert query.returned == {0x0020000D, 0x0020000E}


def test_names_match_by_sound_only_when_negotiated():
    asked = an_identifier("STUDY", PatientName="phantom")
    (fuzzy,) = parse_query(asked, FIND_S, Extensions(fuzzy=True)).conditions
    assert isinstance(fuzzy, FuzzyName)
    (plain,) = parse_query(asked, FIND_S).conditions
    assert not isinstance(plain, FuzzyName)


@pytest.mark.parametrize(
    ("sop_class", "identifier", "extensions", "expected"),
    [
        (GET_S, an_identifier("STUDY", StudyInstanceUID="1.2\\1.3"), BASELINE, ("1.2", "1.3")),
        (GET_S, an_identifier("STUDY"), BASELINE, None),
        (GET_S, an_identifier("IMAGE", SOPInstanceUID="1.4"), BASELINE, None),
        (GET_S, an_identifier("IMAGE", SOPInstanceUID="1.4"), RELATIONAL, ()),
        (MOVE_P, an_identifier("PATIENT", PatientID="P1"), BASELINE, ()),
        (MOVE_P, an_identifier("PATIENT", PatientID="P1\\P2"), BASELINE, None),
        (MOVE_P, an_identifier("STUDY", StudyInstanceUID="1.2"), BASELINE, None),
    ],
)
def test_which_retrievals_name_what_they_want(sop_class, identifier, extensions, expected):
    if expected is None:
        with pytest.raises(IdentifierMismatchError):
            parse_retrieval(identifier, sop_class, extensions)
    else:
        wanted = parse_retrieval(identifier, sop_class, extensions)
        assert wanted.study_instance_uids == expected


def test_other_keys_of_a_retrieval_say_nothing():
    asked = an_identifier("STUDY", StudyInstanceUID="1.2", PatientName="Somebody", Modality="CT")
    assert parse_retrieval(asked, GET_S) == parse_retrieval(
        an_identifier("STUDY", StudyInstanceUID="1.2"), GET_S
    )


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"", b""),
        (b"\1", b"\1"),
        (b"\0\1\1", b"\0\1\1"),
        (b"\1\1\1\1\1\1\1", b"\1\1\1\1\0\1\1"),
        (b"\2\1", b"\0\1"),
        (b"\1" * 9, b"\1\1\1\1\0\1\1"),
    ],
)
def test_extended_negotiation_is_answered_byte_by_byte(asked, answered):
    assert answer_information(FIND_S, asked) == answered
    assert agreed_extensions(FIND_S, answered) == agree(asked, FIND_EXTENSIONS)[1]


def test_retrieval_negotiates_relational_only_and_others_nothing():
    assert answer_information(MOVE_P, b"\1\1") == b"\1\0"
    assert answer_information(uids.VERIFICATION, b"\1") is None


def test_a_single_value_stays_one():
    (condition,) = parse_query(an_identifier("STUDY", PatientID="P1"), FIND_S).conditions
    assert condition == SingleValue(0x00100020, "LO", "P1")
