"""In which transfer syntax an instance is sent: kinds of Accept against kinds of stored objects."""

from datetime import UTC, datetime

import pytest

from isocenter.domain.archive.model import InstanceLocation
from isocenter.gateways.dicomweb.errors import NotAcceptable
from isocenter.gateways.dicomweb.representation import choose
from isocenter.standards.dicom import uids

NOW = datetime(2026, 3, 2, tzinfo=UTC)
EXPLICIT, IMPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN
MPEG4, PRIVATE = "1.2.840.10008.1.2.4.102", "1.2.3.4.5"
MULTIPART = 'multipart/related; type="application/dicom"'


def at(transfer_syntax_uid: str, size_bytes: int = 1000) -> InstanceLocation:
    return InstanceLocation(
        study_instance_uid="1.2",
        series_instance_uid="1.2.1",
        sop_instance_uid="1.2.1.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid=transfer_syntax_uid,
        instance_number=1,
        number_of_frames=None,
        blob_key="key",
        size_bytes=size_bytes,
        sha256=bytes(32),
        dataset_offset=300,
        pixel_data_offset=500,
        frame_ranges=None,
        calling_ae_title="CT1",
    )


CASES = [
    # stored, accepted, sent
    (EXPLICIT, MULTIPART, EXPLICIT),
    (IMPLICIT, MULTIPART, EXPLICIT),
    (uids.JPEG_LS_LOSSLESS, MULTIPART, EXPLICIT),
    (uids.RLE_LOSSLESS, MULTIPART, EXPLICIT),
    (uids.JPEG_BASELINE, MULTIPART, uids.JPEG_BASELINE),
    (uids.JPEG_BASELINE, f"{MULTIPART}; transfer-syntax={EXPLICIT}", EXPLICIT),
    (MPEG4, MULTIPART, MPEG4),
    (MPEG4, f"{MULTIPART}; transfer-syntax={EXPLICIT}", None),
    (MPEG4, f"{MULTIPART}; transfer-syntax=*", MPEG4),
    (PRIVATE, MULTIPART, PRIVATE),
    (PRIVATE, f"{MULTIPART}; transfer-syntax={EXPLICIT}", None),
    (uids.JPEG_LS_LOSSLESS, f"{MULTIPART}; transfer-syntax=*", uids.JPEG_LS_LOSSLESS),
    (uids.JPEG_LS_LOSSLESS, "*/*", uids.JPEG_LS_LOSSLESS),
    (uids.JPEG_LS_LOSSLESS, None, uids.JPEG_LS_LOSSLESS),
    (uids.JPEG_LS_LOSSLESS, f"{MULTIPART}; transfer-syntax={uids.RLE_LOSSLESS}", uids.RLE_LOSSLESS),
    (IMPLICIT, f"{MULTIPART}; transfer-syntax={uids.IMPLICIT_VR_LITTLE_ENDIAN}", IMPLICIT),
    (MPEG4, f"{MULTIPART}; transfer-syntax={uids.RLE_LOSSLESS}", None),
    (EXPLICIT, f"{MULTIPART}; transfer-syntax={PRIVATE}", None),
    (uids.JPEG_BASELINE, f"{MULTIPART}; transfer-syntax={uids.JPEG_2000}", uids.JPEG_2000),
    (
        uids.JPEG_LS_LOSSLESS,
        f"{MULTIPART}; transfer-syntax={uids.JPEG_LS_LOSSLESS}, {MULTIPART}",
        uids.JPEG_LS_LOSSLESS,
    ),
    (EXPLICIT, "image/jpeg", None),
]


@pytest.mark.parametrize(("stored", "accept", "sent"), CASES)
def test_what_is_sent(stored, accept, sent):
    if sent is None:
        with pytest.raises(NotAcceptable):
            choose(accept, at(stored), single=False, transcoded_bytes_max=10_000)
        return
    chosen = choose(accept, at(stored), single=False, transcoded_bytes_max=10_000)
    assert chosen.transfer_syntax_uid == sent
    assert chosen.is_stored == (sent == stored)
    assert chosen.multipart


def test_what_is_too_large_to_decode_comes_as_it_is():
    large = at(uids.RLE_LOSSLESS, size_bytes=10_001)
    chosen = choose(MULTIPART, large, single=True, transcoded_bytes_max=10_000)
    assert chosen.is_stored
    with pytest.raises(NotAcceptable):
        asked = f"{MULTIPART}; transfer-syntax={EXPLICIT}"
        choose(asked, large, single=True, transcoded_bytes_max=10_000)


def test_only_one_object_is_a_body_without_parts():
    one = choose("application/dicom", at(EXPLICIT), single=True, transcoded_bytes_max=10_000)
    assert not one.multipart
    with pytest.raises(NotAcceptable):
        choose("application/dicom", at(EXPLICIT), single=False, transcoded_bytes_max=10_000)
