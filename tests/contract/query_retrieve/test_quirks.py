"""Devices that do not keep to the standard, as pynetdicom plays them."""

import asyncio
from collections.abc import Iterator

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag

pynetdicom = pytest.importorskip("pynetdicom")
from pynetdicom import AE  # noqa: E402  behind the look for the peer

from isocenter.app.dicom_policy import PeerPolicy  # noqa: E402
from isocenter.domain.access.model import Action, Actor, Viewer  # noqa: E402
from isocenter.domain.archive import service as archive  # noqa: E402
from isocenter.domain.peers import service as peers  # noqa: E402
from isocenter.domain.peers.model import DicomPeer  # noqa: E402
from isocenter.gateways.dicomweb.metadata import series_metadata  # noqa: E402
from isocenter.gateways.dimse.find import StudyQuery  # noqa: E402
from isocenter.gateways.dimse.limits import Limits  # noqa: E402
from isocenter.gateways.dimse.query import STUDY_ROOT_FIND  # noqa: E402
from isocenter.gateways.dimse.server import DimseServer, Ports  # noqa: E402
from isocenter.infra.blobs import open_store  # noqa: E402
from isocenter.infra.db import Database  # noqa: E402
from isocenter.infra.pools import Pool  # noqa: E402
from tests.builders import NOON  # noqa: E402

pytestmark = pytest.mark.peer("pynetdicom")

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT = "1.2.840.10008.1.2.1"
SYSTEM = Actor.system("test")


class Hospital:
    """An archive, and one device whose quirks a test says."""

    def __init__(self, database: Database, blobs, pool: Pool) -> None:
        self.database, self.blobs, self.pool = database, blobs, pool
        self.port = 0
        with database.transaction() as tx:
            allow = frozenset({"store", "find"})
            peers.add_dicom_peer(
                tx, SYSTEM, DicomPeer("odd", "ODD", "127.0.0.1", 104, allow), now=NOON
            )

    def admitted(self, batch):
        with self.database.transaction() as tx:
            return archive.admit(tx, SYSTEM, [each.instance for each in batch], now=NOON)

    def associate(self, *quirks: str):
        with self.database.transaction() as tx:
            peers.set_quirks(tx, SYSTEM, "odd", quirks, now=NOON)
        entity = AE(ae_title="ODD")
        for each in (SECONDARY_CAPTURE, STUDY_ROOT_FIND):
            entity.add_requested_context(each, [EXPLICIT])
        association = entity.associate("127.0.0.1", self.port, ae_title="ARCHIVE")
        assert association.is_established
        return association

    def send(self, uid: str, name: bytes, *quirks: str, declared: str | None = None) -> None:
        """An image with these bytes as its patient's name."""
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = EXPLICIT
        if declared:
            image.SpecificCharacterSet = declared
        image.SOPClassUID, image.SOPInstanceUID = SECONDARY_CAPTURE, uid
        image.StudyInstanceUID, image.SeriesInstanceUID = f"{uid}.1", f"{uid}.2"
        image.PatientID, image.Modality = f"PHANTOM-{uid}", "OT"
        image[0x0010, 0x0010] = raw(name)
        association = self.associate(*quirks)
        assert association.send_c_store(image).Status == 0x0000
        association.release()

    def find(self, *quirks: str, name: bytes = b"", declared: str | None = None, **keys):
        """Statuses and identifiers of the answers to a query by name."""
        asked = Dataset()
        if declared:
            asked.SpecificCharacterSet = declared
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", ""
        asked[0x0010, 0x0010] = raw(name)
        for keyword, value in keys.items():
            setattr(asked, keyword, value)
        association = self.associate(*quirks)
        answers = list(association.send_c_find(asked, STUDY_ROOT_FIND))
        association.release()
        assert answers[-1][0].Status == 0x0000
        return [(status.Status, found) for status, found in answers[:-1]]

    def indexed(self, uid: str) -> tuple[str, str]:
        """The patient's name in the index, and in the metadata of the series."""
        viewer = Viewer.of(SYSTEM, Action.STUDY_READ)
        with self.database.read() as tx:
            (name,) = tx.values(
                "select patient_name from archive.study where study_instance_uid = %s",
                (f"{uid}.1",),
            )
            (series,) = archive.series_of(tx, viewer, f"{uid}.1")
        described = series_metadata(self.database, self.blobs, viewer, series).decode()
        return name, described


def raw(value: bytes) -> RawDataElement:
    padded = value + b" " * (len(value) % 2)
    return RawDataElement(Tag(0x00100010), "PN", len(padded), padded, 0, False, True)


def name_of(found: Dataset) -> bytes:
    """The name as it came over the wire."""
    return found.PatientName.original_string.rstrip(b" ")


@pytest.fixture(scope="module")
def hospital(loop, database_stock, tmp_path_factory) -> Iterator[Hospital]:
    database = Database(database_stock.take())
    blobs = open_store(tmp_path_factory.mktemp("objects").as_uri())
    pool = Pool(database, threads=2)
    running = Hospital(database, blobs, pool)
    ports = Ports(
        PeerPolicy(pool, clock=lambda: NOON, resolve=frozenset),
        blobs,
        running.admitted,
        lambda: NOON,
        {STUDY_ROOT_FIND: StudyQuery(pool, clock=lambda: NOON, ae_title="ARCHIVE")},
    )
    server = DimseServer(frozenset({"ARCHIVE"}), ports, Limits(free_bytes_min=0))

    def do(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    running.port = do(server.start("127.0.0.1", 0))
    # What the tests of answers look for.
    running.send("2.25.900", "Łukasz^Phantom".encode(), declared="ISO_IR 192")
    running.send("2.25.901", "Yamada^Phantom=山田^太郎".encode(), declared="ISO_IR 192")
    yield running
    do(server.drain(0.2))
    pool.close()


@pytest.mark.parametrize(
    ("uid", "quirk", "data", "declared", "name"),
    [
        ("2.25.910", "assume-latin-2", b"\xa3ukasz^Feliks", None, "Łukasz^Feliks"),
        ("2.25.911", "assume-cyrillic", b"\xb8\xd2\xd0\xdd\xde\xd2", None, "Иванов"),
        ("2.25.912", "assume-latin-2", "Müller^Ü".encode(), "ISO_IR 192", "Müller^Ü"),
        ("2.25.913", "utf-8-mislabelled", "Łukasz^Jan".encode(), "ISO_IR 100", "Łukasz^Jan"),
    ],
)
def test_names_are_read_as_the_device_means_them(hospital, uid, quirk, data, declared, name):
    hospital.send(uid, data, quirk, declared=declared)
    indexed, described = hospital.indexed(uid)
    assert indexed == name
    assert name in described


def test_without_the_quirk_the_declaration_counts(hospital):
    hospital.send("2.25.920", b"\xa3ukasz")
    assert hospital.indexed("2.25.920")[0] == "£ukasz"


def test_a_question_in_an_undeclared_set_is_answered_in_it(hospital):
    ((_, found),) = hospital.find("assume-latin-2", name=b"\xa3ukasz^Ph*")
    assert found.SpecificCharacterSet == "ISO_IR 101"
    assert name_of(found) == b"\xa3ukasz^Phantom"


@pytest.mark.parametrize(
    ("quirk", "declared", "name"),
    [
        ("answers-in-ascii", None, b"Lukasz^Phantom"),
        ("answers-in-latin-1", "ISO_IR 100", b"Lukasz^Phantom"),
        ("answers-in-utf-8", "ISO_IR 192", "Łukasz^Phantom".encode()),
    ],
)
def test_answers_come_in_what_the_device_reads(hospital, quirk, declared, name):
    ((_, found),) = hospital.find(quirk, PatientID="PHANTOM-2.25.900")
    assert found.get("SpecificCharacterSet") == declared
    assert name_of(found) == name


def test_names_come_without_the_groups_that_a_device_does_not_read(hospital):
    ((_, found),) = hospital.find("alphabetic-names", PatientID="PHANTOM-2.25.901")
    assert name_of(found) == b"Yamada^Phantom"
    ((_, whole),) = hospital.find(PatientID="PHANTOM-2.25.901")
    assert name_of(whole) == "Yamada^Phantom=山田^太郎".encode()


def test_a_name_is_the_beginning_of_one_where_a_device_means_that(hospital):
    assert hospital.find(name=b"yamada^Ph") == []
    assert len(hospital.find("names-begin", name=b"yamada^Ph")) == 1
    assert len(hospital.find("names-begin", name=b"Yam?da^*")) == 1


def test_a_key_that_is_not_indexed_is_no_warning_to_a_device_that_stumbles(hospital):
    keys = {"PatientID": "PHANTOM-2.25.900", "AdmissionID": ""}
    assert [status for status, _ in hospital.find(**keys)] == [0xFF01]
    assert [status for status, _ in hospital.find("plain-pending", **keys)] == [0xFF00]
