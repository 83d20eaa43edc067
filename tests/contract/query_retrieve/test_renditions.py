"""Renditions go to pynetdicom where it takes nothing else, decoded by OpenJPEG."""

from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
import pytest

pynetdicom = pytest.importorskip("pynetdicom")
from pynetdicom import AE, build_role, evt  # noqa: E402  behind the look for the peer

from isocenter.app.renditions import ProcessorShare, RenditionMaker  # noqa: E402
from isocenter.domain.archive.service import renditions  # noqa: E402
from isocenter.infra.blobs.several import SeveralStores  # noqa: E402
from tests.builders import NOON  # noqa: E402
from tests.contract.query_retrieve.conftest import SYSTEM  # noqa: E402
from tests.contract.query_retrieve.test_pynetdicom import (  # noqa: E402
    CT,
    EXPLICIT,
    STUDY_GET,
    STUDY_MOVE,
    identifier,
)

pytestmark = pytest.mark.peer("pynetdicom")
RPCL = "1.2.840.10008.1.2.4.202"


@pytest.fixture(scope="module")
def ct(archived):
    """The CT, of which only the rendition is left: whoever encodes it anew has nothing to read."""
    study = pydicom.dcmread(BytesIO(archived.files["CT_small.dcm"]))
    with archived.database.transaction() as tx:
        tx.run("update archive.study set completed_at = now()")
        renditions.want_all_renditions(tx, SYSTEM, ["CT"], now=NOON)
        key = tx.value(
            "select blob_key from archive.instance where sop_instance_uid = %s",
            (str(study.SOPInstanceUID),),
        )
    share = ProcessorShare(100, lambda seconds: None)
    stores = SeveralStores({"main": archived.blobs})
    maker = RenditionMaker(
        archived.database, stores, SYSTEM, lambda: NOON, ["CT"], share, lambda: False
    )
    assert maker.run() == 1
    archived.blobs.delete(key)
    return study


class Receiver:
    """Takes CT in some transfer syntaxes, and keeps what it took."""

    def __init__(self, *syntaxes: str) -> None:
        self.taken: list[tuple[str, pydicom.Dataset]] = []
        self.ae = AE("RECEIVER")
        self.ae.add_supported_context(CT, list(syntaxes))
        handlers = [(evt.EVT_C_STORE, self.take)]
        self.server = self.ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(self.server.server_address[1])

    def take(self, event) -> int:
        self.taken.append((event.context.transfer_syntax, event.dataset))
        return 0x0000


def is_the_image(taken: tuple[str, pydicom.Dataset], ct: pydicom.Dataset) -> bool:
    syntax, dataset = taken
    (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    assert syntax == RPCL
    assert dataset.SOPInstanceUID == ct.SOPInstanceUID
    return np.array_equal(imagecodecs.jpeg2k_decode(frame), ct.pixel_array)


@pytest.mark.parametrize("others", [(), ("1.2.840.10008.1.2.4.70",)], ids=["alone", "among others"])
def test_it_is_moved_to_who_takes_nothing_uncompressed(archived, ct, others):
    receiver = Receiver(RPCL, *others)
    archived.meet("RECEIVER", receiver.port)
    asker = AE("SCU")
    asker.add_requested_context(STUDY_MOVE, [EXPLICIT])
    association = asker.associate("127.0.0.1", archived.port, ae_title="ARCHIVE")
    try:
        wanted = identifier("STUDY", StudyInstanceUID=str(ct.StudyInstanceUID))
        *_, (status, _) = association.send_c_move(wanted, "RECEIVER", STUDY_MOVE)
    finally:
        association.release()
        receiver.ae.shutdown()
    assert status.Status == 0x0000
    (taken,) = receiver.taken
    assert is_the_image(taken, ct)


def test_it_is_got_by_who_takes_nothing_else(archived, ct):
    taken = []

    def take(event) -> int:
        taken.append((event.context.transfer_syntax, event.dataset))
        return 0x0000

    asker = AE("SCU")
    asker.add_requested_context(STUDY_GET, [EXPLICIT])
    asker.add_requested_context(CT, [RPCL])
    association = asker.associate(
        "127.0.0.1",
        archived.port,
        ae_title="ARCHIVE",
        ext_neg=[build_role(CT, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, take)],
    )
    try:
        wanted = identifier("STUDY", StudyInstanceUID=str(ct.StudyInstanceUID))
        *_, (status, _) = association.send_c_get(wanted, STUDY_GET)
    finally:
        association.release()
    assert status.Status == 0x0000
    assert is_the_image(taken[0], ct)
