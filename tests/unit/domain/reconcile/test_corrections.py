"""Which values of images registry and order correct."""

from datetime import date

import pytest

from isocenter.domain.archive.model_corrections import Corrections
from isocenter.domain.reconcile.model import (
    OrderData,
    RegisteredPatient,
    StudyEvidence,
    corrections,
    patient_of,
)

BORN = date(1970, 1, 1)


def a_study(**said) -> StudyEvidence:
    usual = {
        "study_instance_uid": "1.2.3",
        "patient_id": "P1",
        "patient_name": "Phantom^Ada",
        "patient_birth_date": BORN,
        "patient_sex": "F",
        "accession_number": "A1",
        "disagreements": {},
    }
    return StudyEvidence(**(usual | said))


def a_registration(**known) -> RegisteredPatient:
    usual = {
        "patient_key": 1,
        "patient_id": "P1",
        "issuer_of_patient_id": "HOSP",
        "own_identifiers": frozenset({("HOSP", "P1")}),
        "person_name": "Phantom^Ada",
        "birth_date": BORN,
        "sex": "F",
    }
    return RegisteredPatient(**(usual | known))


@pytest.mark.parametrize(
    ("study", "patient", "order", "expected"),
    [
        ({}, {}, None, {}),
        ({}, {"person_name": None, "birth_date": None, "sex": None}, None, {}),
        ({"patient_name": "PHANTOM^ADA"}, {}, OrderData(" a1"), {}),
        ({}, {"person_name": "Phantom^Bea"}, None, {"patient_name": "Phantom^Bea"}),
        ({"patient_name": "Yamada^Taro=A^B"}, {"person_name": "YAMADA^Taro"}, None, {}),
        ({"patient_name": "X^Y"}, {"person_name": "A\\B^C"}, None, {"patient_name": "A B^C"}),
        ({"patient_sex": "f"}, {}, None, {}),
        ({"patient_sex": None}, {"sex": "M"}, None, {"patient_sex": "M"}),
        ({}, {}, OrderData("A2"), {"accession_number": "A2"}),
        (
            {"patient_id": "OLD"},
            {},
            None,
            {"patient_id": "P1", "issuer_of_patient_id": "HOSP"},
        ),
        ({"issuer_of_patient_id": "hosp"}, {}, None, {}),
        (
            {"issuer_of_patient_id": "ELSEWHERE"},
            {},
            None,
            {"patient_id": "P1", "issuer_of_patient_id": "HOSP"},
        ),
        (
            {"referring_physician_name": "Who^Dr"},
            {},
            OrderData("A1", "House^G"),
            {"referring_physician_name": "House^G"},
        ),
    ],
)
def test_what_is_corrected(study, patient, order, expected):
    found = corrections(a_study(**study), a_registration(**patient), order)
    assert found == Corrections(**expected)


@pytest.mark.parametrize(
    ("study", "candidates", "is_found"),
    [
        ({}, [{}], True),
        ({}, [], False),
        ({}, [{}, {"patient_key": 2}], False),
        ({"patient_name": "Other^P", "patient_birth_date": None}, [{}], False),
        ({"patient_name": "Other^P", "patient_birth_date": date(1950, 1, 1)}, [{}], False),
        ({"patient_name": "Maiden^Ada"}, [{}], True),
        ({"patient_birth_date": None}, [{}], True),
        ({"patient_name": None, "patient_birth_date": None}, [{}], False),
        (
            {"patient_name": "Old^Ada"},
            [{"birth_date": None, "prior_person_name": "OLD^ADA"}],
            True,
        ),
    ],
)
def test_whose_images_they_are_without_an_order(study, candidates, is_found):
    known = [a_registration(**each) for each in candidates]
    assert (patient_of(a_study(**study), known) is not None) == is_found
