"""HTJ2K renditions as clients get them: the values of the originals, by other people's decoders."""

import io
import shutil
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

from isocenter.app.renditions import ProcessorShare, RenditionMaker
from isocenter.domain.access.model import Actor
from isocenter.domain.archive.service import renditions
from isocenter.infra.blobs.several import SeveralStores
from tests.contract.dicomweb.conftest import REAL_FILES, RealFile
from tests.contract.dicomweb.test_real_files import parts
from tests.dicomweb_server import DicomwebServer, file_store

RPCL = "1.2.840.10008.1.2.4.202"
FRAMES = f'multipart/related; type="image/jphc"; transfer-syntax={RPCL}'
FILE = f"application/dicom; transfer-syntax={RPCL}"
WORKER = Actor.system("worker")
# Signed and unsigned, grey and colour, several frames, native and compressed, big endian.
WANTED = ("CT_small.dcm", "MR_small_bigendian.dcm", "SC_rgb_rle_16bit_2frame.dcm")
# Some are the same instance in several encodings: one archive holds one of them.
FILES = list(
    {each.sop_instance_uid: each for each in REAL_FILES if each.path.name in WANTED}.values()
)


def frames_of(data: bytes) -> list[np.ndarray]:
    """The stored values of each frame, by OpenJPEG: we encode and decode by OpenJPH."""
    ds = pydicom.dcmread(io.BytesIO(data))
    assert ds.file_meta.TransferSyntaxUID == RPCL
    count = int(ds.get("NumberOfFrames", 1) or 1)
    found = pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=count)
    return [imagecodecs.jpeg2k_decode(each) for each in found]


@pytest.fixture(scope="module")
def server(make_server, tmp_path_factory) -> DicomwebServer:
    """An archive with renditions of everything, whose originals have been taken away since."""
    folder: Path = tmp_path_factory.mktemp("objects")
    blobs = SeveralStores({"main": file_store(folder)})
    made: DicomwebServer = make_server(blobs=blobs)
    for each in FILES:
        assert made.store(each.data).status_code == 200
    originals = list(blobs.keys())
    with made.database.transaction() as tx:
        tx.run("update archive.study set completed_at = now()")
        tx.run("update archive.series set modality = 'CT'")
        renditions.want_all_renditions(tx, WORKER, ["CT"], now=made.clock())
    share = ProcessorShare(100, lambda seconds: None)
    maker = RenditionMaker(made.database, blobs, WORKER, made.clock, ["CT"], share, lambda: False)
    assert maker.run() == len(FILES)
    made.clock.advance(seconds=1)
    aside = tmp_path_factory.mktemp("aside")
    for key in originals:
        (aside / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / key, aside / key)
    return made


@pytest.mark.parametrize("file", FILES, ids=lambda each: each.path.name)
def test_files_and_frames_hold_the_values_of_the_original_that_nobody_has_to_read(
    server: DicomwebServer, file: RealFile
):
    whole = server.get(file.instance, accept=FILE)
    assert whole.status_code == 200, whole.text
    assert whole.headers["Content-Type"] == FILE
    decoded = frames_of(whole.content)
    original = pixel_array(file.path, raw=True)
    assert np.array_equal(np.stack(decoded).reshape(original.shape), original)
    header, before = pydicom.dcmread(io.BytesIO(whole.content)), file.read()
    for each in before:
        encoded = each.keyword in {"PhotometricInterpretation", "PlanarConfiguration", "HighBit"}
        if not encoded and each.tag.group not in {0x0002, 0x7FE0, 0xFFFC} and each.tag.element:
            assert header[each.tag] == each
    numbers = ",".join(str(number) for number in range(1, len(decoded) + 1))
    answer = server.get(f"{file.instance}/frames/{numbers}", accept=FRAMES)
    assert answer.status_code == 200
    assert [imagecodecs.jpeg2k_decode(each).tobytes() for _, each in parts(answer)] == [
        each.tobytes() for each in decoded
    ]


def test_frames_of_renditions_are_ranges_and_other_encodings_need_the_original(
    server: DicomwebServer,
):
    file = FILES[0]
    frame = f"{file.instance}/frames/1"
    accept = f"image/jphc; transfer-syntax={RPCL}"
    whole = server.get(frame, accept=accept)
    piece = server.get(frame, accept=accept, headers={"Range": "bytes=10-19"})
    assert piece.status_code == 206
    assert piece.content == whole.content[10:20]
    # A stream with RPCL progression is one of the transfer syntax that leaves progression open.
    open_order = server.get(frame, accept="image/jphc; transfer-syntax=1.2.840.10008.1.2.4.201")
    assert open_order.content == whole.content
    assert server.get(frame, accept="application/octet-stream").status_code >= 400
    assert (
        server.get(file.instance, accept="application/dicom; transfer-syntax=*").status_code >= 400
    )
