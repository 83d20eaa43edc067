"""Received instances for tests: synthetic, small, each attribute settable by name."""

import hashlib
import itertools
from datetime import UTC, datetime

from isocenter.domain.archive import model
from isocenter.domain.archive.model import ReceivedInstance

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

_numbers = itertools.count(1)


def an_instance(
    *,
    study: str = "1.2.3",
    series: str = "1.2.3.1",
    sop: str | None = None,
    content: str | None = None,
    received_at: datetime = NOW,
    **attributes: str,
) -> ReceivedInstance:
    """An instance of a CT study of Phantom^Ada.

    ``content`` stands for the bytes: the same content is the same digest. Keywords are names of
    ``archive.model`` constants in lower case; the empty string removes an attribute.
    """
    number = next(_numbers)
    sop = sop or f"{series}.{number}"
    values = {
        model.SOP_CLASS_UID: CT_IMAGE_STORAGE,
        model.SOP_INSTANCE_UID: sop,
        model.STUDY_INSTANCE_UID: study,
        model.SERIES_INSTANCE_UID: series,
        model.PATIENT_ID: "P-1",
        model.PATIENT_NAME: "Phantom^Ada",
        model.PATIENT_BIRTH_DATE: "19700101",
        model.PATIENT_SEX: "F",
        model.ACCESSION_NUMBER: "A1",
        model.STUDY_DATE: "20260302",
        model.STUDY_TIME: "085959.5",
        model.STUDY_DESCRIPTION: "CT head",
        model.MODALITY: "CT",
        model.SERIES_NUMBER: "1",
        model.INSTANCE_NUMBER: str(number),
        model.ROWS: "512",
        model.COLUMNS: "512",
        model.BITS_ALLOCATED: "16",
    }
    values |= {getattr(model, name.upper()): value for name, value in attributes.items()}
    digest = hashlib.sha256((content or sop).encode()).digest()
    return ReceivedInstance(
        blob_key=f"2026/03/02/{number:08d}",
        size_bytes=1000,
        sha256=digest,
        dataset_offset=300,
        pixel_data_offset=500,
        transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
        calling_ae_title="CT1",
        received_at=received_at,
        attributes={tag: value for tag, value in values.items() if value},
    )
