"""Archives on real sockets that hold real files of many makers."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest

from isocenter.infra.db import Database
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import part10, uids
from tests.contract.dicom_data.conftest import FILES, shared_test_data
from tests.dicomweb_server import DicomwebServer, file_store

_UID_TAGS = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)


@dataclass(frozen=True)
class RealFile:
    """A file that an archive must take. ``layer`` tells those with one SOP Instance UID apart."""

    path: Path
    transfer_syntax_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    layer: int

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @property
    def instance(self) -> str:
        return (
            f"/studies/{self.study_instance_uid}/series/{self.series_instance_uid}"
            f"/instances/{self.sop_instance_uid}"
        )

    def read(self) -> pydicom.Dataset:
        return pydicom.dcmread(self.path, force=True)


def _readable() -> Iterator[RealFile]:
    seen: dict[str, int] = {}
    for path in FILES:
        data = path.read_bytes()
        try:
            meta = part10.parse_file_meta(data)
            scan = part10.scan_header(
                data,
                _UID_TAGS,
                transfer_syntax_uid=meta.transfer_syntax_uid,
                start=meta.dataset_offset,
            )
        except RemoteProtocolError:
            continue
        sop_class, instance, study, series = map(scan.text, _UID_TAGS)
        if not all((sop_class, instance, study, series)) or not uids.is_valid(instance):
            continue
        layer = seen[instance] = seen.get(instance, -1) + 1
        yield RealFile(path, meta.transfer_syntax_uid, instance, study, series, layer)


REAL_FILES = sorted(_readable(), key=lambda each: each.layer)


@dataclass
class Archives:
    """One archive per layer, made when it is first asked for."""

    make: Callable[[], DicomwebServer]
    servers: dict[int, DicomwebServer] = field(default_factory=dict)
    answers: dict[Path, int] = field(default_factory=dict)

    def of(self, file: RealFile) -> DicomwebServer:
        if file.layer not in self.servers:
            self.servers[file.layer] = server = self.make()
            for each in REAL_FILES:
                if each.layer == file.layer:
                    self.answers[each.path] = server.store(each.data).status_code
        return self.servers[file.layer]


@pytest.fixture(scope="session")
def make_server(database_stock, tmp_path_factory) -> Iterator[Callable[..., DicomwebServer]]:
    """Servers with a database and files of their own."""
    made: list[tuple[DicomwebServer, str]] = []

    def make(**named) -> DicomwebServer:
        url = database_stock.take()
        database = Database(url, connections_max=8)
        blobs = named.pop("blobs", None) or file_store(tmp_path_factory.mktemp("objects"))
        made.append((DicomwebServer(database, blobs, **named), url))
        return made[-1][0]

    yield make
    for server, url in made:
        server.stop()
        server.database.close()
        database_stock.give_back(url)


@pytest.fixture(scope="session")
def archives(make_server) -> Archives:
    return Archives(make_server)


@pytest.fixture(autouse=True)
def _quiet_pydicom() -> Iterator[None]:
    """The files break rules on purpose; pydicom's warnings about them are no findings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def shared_dicom() -> Path:
    folder = shared_test_data()
    if folder is None:
        pytest.skip("the shared test data is not here")
    return folder
