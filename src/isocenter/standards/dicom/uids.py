"""Unique identifiers: well-known ones, SOP classes, transfer syntaxes, the rules of their form.

New identifiers are made elsewhere: making one needs randomness.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from isocenter.standards.dicom.uids_table import SOP_CLASSES, TRANSFER_SYNTAXES

# Names this implementation in associations and file meta information (PS3.7 D.3.3.2, PS3.10 7.1).
IMPLEMENTATION_CLASS_UID: Final = "2.25.23558073432138229884749839968455739364"
IMPLEMENTATION_VERSION_NAME: Final = "ISOCENTER_0_1"

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
VERIFICATION: Final = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
MODALITY_WORKLIST_FIND: Final = "1.2.840.10008.5.1.4.31"
MODALITY_PERFORMED_PROCEDURE_STEP: Final = "1.2.840.10008.3.1.2.3.3"
INSTANCE_AVAILABILITY_NOTIFICATION: Final = "1.2.840.10008.5.1.4.33"
PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_FIRST_ORDER: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS: Final = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
JPEG_XL_LOSSLESS: Final = "1.2.840.10008.1.2.4.110"
JPEG_XL_RECOMPRESSION: Final = "1.2.840.10008.1.2.4.111"
JPEG_XL: Final = "1.2.840.10008.1.2.4.112"
HTJ2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL: Final = "1.2.840.10008.1.2.4.202"
HTJ2K: Final = "1.2.840.10008.1.2.4.203"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
DEFLATED_IMAGE_FRAME: Final = "1.2.840.10008.1.2.8.1"

_FORM: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class SopClass:
    """One SOP class of PS3.6 Annex A."""

    uid: str
    name: str
    is_storage: bool


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How a data set and its pixel data are encoded.

    Attributes:
        encapsulated: pixel data is a sequence of fragments.
        may_lose_detail: the encoding may have changed pixel values.
    """

    uid: str
    name: str
    little_endian: bool = True
    explicit_vr: bool = True
    deflated: bool = False
    encapsulated: bool = False
    may_lose_detail: bool = False


@cache
def sop_classes() -> dict[str, SopClass]:
    """Every SOP class by UID, in the order of PS3.6.

    Standard: PS3.6 Annex A
    """
    classes: dict[str, SopClass] = {}
    for line in SOP_CLASSES.splitlines():
        uid, flag, name = line.split(" ", 2)
        classes[uid] = SopClass(uid, name, flag == "S")
    return classes


@cache
def storage_classes() -> tuple[str, ...]:
    """UIDs of every SOP class whose instances can be stored.

    Standard: PS3.4 B.5
    """
    return tuple(uid for uid, known in sop_classes().items() if known.is_storage)


@cache
def transfer_syntaxes() -> dict[str, TransferSyntax]:
    """Every transfer syntax by UID.

    Standard: PS3.6 Annex A, PS3.5 Annex A
    """
    syntaxes: dict[str, TransferSyntax] = {}
    for line in TRANSFER_SYNTAXES.splitlines():
        uid, flags, name = line.split(" ", 2)
        syntaxes[uid] = TransferSyntax(
            uid,
            name,
            little_endian="B" not in flags,
            explicit_vr="I" not in flags,
            deflated="D" in flags,
            encapsulated="E" in flags,
            may_lose_detail="L" in flags,
        )
    return syntaxes


def transfer_syntax(uid: str) -> TransferSyntax:
    """What is known of ``uid``; an unknown one is taken as encapsulated explicit VR little endian.

    Every transfer syntax added since 1994 is explicit VR little endian, and private ones with few
    exceptions compress pixel data.

    Standard: PS3.5 A.4
    """
    known = transfer_syntaxes().get(uid)
    return known or TransferSyntax(uid, uid, encapsulated=True, may_lose_detail=True)


def name_of(uid: str) -> str:
    """The registered name of a SOP class or transfer syntax, or ``uid`` itself."""
    known = sop_classes().get(uid) or transfer_syntaxes().get(uid)
    return known.name if known else uid


def is_valid(uid: str) -> bool:
    """Whether ``uid`` has the form that the standard demands.

    That is digits and dots, no component with a leading zero, at most 64 characters.

    Standard: PS3.5 9.1
    """
    return len(uid) <= _LENGTH_MAX and _FORM.fullmatch(uid) is not None
