import base64
import hashlib
import hmac
from datetime import date

import pytest

from isocenter.domain.access.model_launch import (
    BadLaunch,
    LaunchRefused,
    RequestType,
    invocation_of,
    signature_of,
    signed_launch_of,
)


def test_a_patient_with_issuer_dates_and_modalities_is_understood():
    found = invocation_of({
        "requestType": "PATIENT",
        "patientID": "99998410^^^AcmeHospital&1.2.3&ISO",
        "mostRecentResults": "3",
        "modalitiesInStudy": "CT,mr",
        "lowerDateTime": "2013-03-29T00:00:00",
        "upperDateTime": "20130404",
        "diagnosticQuality": "false",
        "keyImagesOnly": "true",
    })
    assert found.request_type is RequestType.PATIENT
    assert (found.patient_id, found.issuer_of_patient_id) == ("99998410", "AcmeHospital")
    assert (found.study_date_from, found.study_date_to) == (date(2013, 3, 29), date(2013, 4, 4))
    assert (found.modalities, found.newest) == (("CT", "MR"), 3)
    assert (found.diagnostic, found.key_images_only) == (False, True)


def test_studies_come_as_a_list_and_names_in_any_case():
    found = invocation_of({"requesttype": "study", "STUDYUID": "1.2,1.3,1.2", "unknown": "x"})
    assert found.study_instance_uids == ("1.2", "1.3")
    assert found.diagnostic is None


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"requestType": "SERIES"},
        {"requestType": "PATIENT"},
        {"requestType": "STUDY"},
        {"requestType": "STUDY", "studyUID": ",".join(f"1.{n}" for n in range(51))},
        {"requestType": "PATIENT", "patientID": "1", "mostRecentResults": "0"},
        {"requestType": "PATIENT", "patientID": "1", "mostRecentResults": "many"},
        {"requestType": "PATIENT", "patientID": "1", "lowerDateTime": "yesterday"},
        {"requestType": "PATIENT", "patientID": "1", "diagnosticQuality": "good"},
    ],
)
def test_what_is_unclear_is_refused(parameters):
    with pytest.raises(BadLaunch):
        invocation_of(parameters)


def test_a_signature_is_the_hmac_of_the_address_before_it():
    query = "requestType=STUDY&studyUID=1.2&user=ehr&expires=1"
    digest = hmac.new(b"key", f"/launch/signed?{query}".encode(), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert signature_of("key", f"/launch/signed?{query}") == expected
    launch = signed_launch_of("/launch/signed", f"{query}&signature={expected}")
    assert launch.signed == f"/launch/signed?{query}"
    assert launch.signature == expected
    assert launch.parameters["studyUID"] == "1.2"


@pytest.mark.parametrize(
    "query", ["a=1", "a=1&signature=x&b=2", "signature=x", "a=1&a=2&signature=x"]
)
def test_an_address_that_is_not_signed_to_its_end_is_refused(query):
    with pytest.raises(LaunchRefused):
        signed_launch_of("/launch/signed", query)
