"""Opening the workspace from another system: what is asked for, and what a session may then do.

A launch names images and reports as IHE's Invoke Image Display does. Pure: codes and sessions are
in ``service_launch``; which studies a request means is found by the read models.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import ClassVar, Final
from urllib.parse import parse_qsl

from isocenter.domain.access.model import Action
from isocenter.errors import IsocenterError, Kind

CODE_TTL_S: Final = 60
SIGNED_TTL_S_MAX: Final = 300
SESSION_S_DEFAULT: Final = 3_600
SESSION_S_MAX: Final = 12 * 3_600
ON_BEHALF_OF_LENGTH_MAX: Final = 64
STUDIES_MAX: Final = 50
SIGNATURE: Final = "signature"
# A confined session reads: what writes names exams in ways that the door cannot tell apart.
CONFINED_ACTIONS: Final = frozenset({Action.EXAM_READ, Action.STUDY_READ, Action.REPORT_READ})


class BadLaunch(IsocenterError):
    """The request to open something cannot be understood."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class LaunchRefused(IsocenterError):
    """The code or signature is unknown, was used, or has expired."""

    kind: ClassVar[Kind] = Kind.FORBIDDEN


class RequestType(StrEnum):
    """What an invocation names.

    Standard: IHE Radiology Technical Framework, Volume 2, 4.106.4.1.2
    """

    PATIENT = "PATIENT"
    STUDY = "STUDY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What another system wants to be shown.

    Attributes:
        patient_id: with its issuer where the request names one.
        newest: at most so many studies, the newest; None: all.
        diagnostic: the full workspace; False: the page for clinicians; None: not said.

    Standard: IHE Radiology Technical Framework, Volume 2, 4.106.4.1.2
    """

    request_type: RequestType
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    study_instance_uids: tuple[str, ...] = ()
    accession_numbers: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    study_date_from: date | None = None
    study_date_to: date | None = None
    newest: int | None = None
    diagnostic: bool | None = None
    key_images_only: bool = False
    viewer_type: str = ""


# Names are not case-sensitive: senders in the field differ.
_NAMES: Final = {
    name.lower(): name
    for name in (
        "requestType",
        "patientID",
        "patientName",
        "patientBirthDate",
        "studyUID",
        "accessionNumber",
        "mostRecentResults",
        "modalitiesInStudy",
        "lowerDateTime",
        "upperDateTime",
        "viewerType",
        "diagnosticQuality",
        "keyImagesOnly",
    )
}


def invocation_of(parameters: Mapping[str, str]) -> Invocation:
    """What the parameters of an Invoke Image Display request ask for; ``BadLaunch`` when unclear.

    ``patientName`` and ``patientBirthDate`` are for people to compare and do not restrict. Other
    parameters are ignored.

    Standard: IHE Radiology Technical Framework, Volume 2, 4.106.4.1.2, 4.106.4.1.3
    """
    given = {
        _NAMES[name.lower()]: value.strip()
        for name, value in parameters.items()
        if name.lower() in _NAMES and value.strip()
    }
    try:
        request_type = RequestType(given.get("requestType", "").upper())
    except ValueError as error:
        raise BadLaunch("requestType is PATIENT or STUDY") from error
    patient_id, issuer = _patient(given.get("patientID", ""))
    made = Invocation(
        request_type=request_type,
        patient_id=patient_id,
        issuer_of_patient_id=issuer,
        study_instance_uids=_list(given, "studyUID"),
        accession_numbers=_list(given, "accessionNumber"),
        modalities=tuple(each.upper() for each in _list(given, "modalitiesInStudy")),
        study_date_from=_date(given, "lowerDateTime"),
        study_date_to=_date(given, "upperDateTime"),
        newest=_count(given),
        diagnostic=_truth(given, "diagnosticQuality"),
        key_images_only=bool(_truth(given, "keyImagesOnly")),
        viewer_type=given.get("viewerType", ""),
    )
    if request_type is RequestType.PATIENT and not made.patient_id:
        raise BadLaunch("requestType=PATIENT needs patientID")
    named = len(made.study_instance_uids) + len(made.accession_numbers)
    if request_type is RequestType.STUDY and not 0 < named <= STUDIES_MAX:
        raise BadLaunch(f"requestType=STUDY names 1 to {STUDIES_MAX} of studyUID, accessionNumber")
    return made


def _list(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    parts = given.get(name, "").replace("\\", ",").split(",")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _patient(value: str) -> tuple[str, str]:
    """ID and issuer of ``ID^^^ISSUER`` or ``ID^^^ISSUER&OID&ISO``: a CX of HL7.

    Standard: HL7 v2.5.1 2.A.14
    """
    components = value.split("^")
    issuer = components[3].split("&")[0] if len(components) > 3 else ""
    return components[0].strip(), issuer.strip()


def _date(given: Mapping[str, str], name: str) -> date | None:
    """The day of an XML dateTime, a date of it, or a DICOM DA or DT."""
    value = given.get(name, "")
    if not value:
        return None
    day = value.partition("T")[0]
    text = day if "-" in day[:8] else f"{day[:4]}-{day[4:6]}-{day[6:8]}"
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise BadLaunch(f"{name} is a date and time as 2026-01-31T00:00:00") from error


def _count(given: Mapping[str, str]) -> int | None:
    value = given.get("mostRecentResults", "")
    if not value:
        return None
    if not value.isdecimal() or not 0 < int(value) <= STUDIES_MAX:
        raise BadLaunch(f"mostRecentResults is a number from 1 to {STUDIES_MAX}")
    return int(value)


def _truth(given: Mapping[str, str], name: str) -> bool | None:
    value = given.get(name, "").lower()
    if value not in {"", "true", "false", "1", "0"}:
        raise BadLaunch(f"{name} is true or false")
    return None if not value else value in {"true", "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchGrant:
    """What a code opens, and what the session so opened is limited to.

    Attributes:
        target: path of our page.
        scope: actions of the session; they are never more than its user's.
        session_s: how long the session lasts at most.
        study_instance_uids: what it is confined to; None: not confined.
    """

    target: str
    scope: frozenset[Action]
    session_s: int = SESSION_S_DEFAULT
    on_behalf_of: str = ""
    frame_origin: str | None = None
    study_instance_uids: Sequence[str] | None = None
    accession_numbers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that a launch opened: its secret, the page to show, and whose frame shows it."""

    session_secret: str
    target: str
    frame_origin: str | None
    session_s: int


@dataclass(frozen=True, slots=True)
class SignedLaunch:
    """A signed address, taken apart: everything before the signature is what was signed."""

    signed: str
    signature: str
    parameters: Mapping[str, str]


def signed_launch_of(path: str, query: str) -> SignedLaunch:
    """The signed part and the signature, which comes last. Raises ``LaunchRefused``."""
    signed, separator, signature = query.rpartition(f"&{SIGNATURE}=")
    if not separator or "&" in signature:
        raise LaunchRefused("the address is not signed")
    pairs = parse_qsl(signed, keep_blank_values=True)
    if len({name for name, _ in pairs}) != len(pairs):
        raise LaunchRefused("the address says something twice")
    return SignedLaunch(f"{path}?{signed}", signature, dict(pairs))


def signature_of(key: str, signed: str) -> str:
    """HMAC-SHA-256 of the address up to ``&signature=``, in base64url without padding.

    Standard: RFC 2104, RFC 4648 5
    """
    digest = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
