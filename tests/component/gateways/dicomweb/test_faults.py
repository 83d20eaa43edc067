"""What depends on storage and database: when they are full, away, slow, or have lost something."""

import http.client
import io
import itertools
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pydicom
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydicom.uid import RLELossless

from isocenter.domain.access.model import Action, Actor, Role, Viewer
from isocenter.domain.archive import service as archive
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.infra import log
from isocenter.infra.blobs import BlobMissing, StorageUnavailable
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from tests.dicomweb_server import BOUNDARY, MULTIPART, DicomwebServer, file_store, multipart
from tests.fakes.blobs import ObservedStore, full_at
from tests.hospital import a_slice

SERIES = "/studies/1.2/series/1.2.1"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
DECODED = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'


def slices(first: int, count: int) -> list[bytes]:
    return [
        a_slice("A1", 1, number, name="Phantom^Ada", study_uid="1.2")
        for number in range(first, first + count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def blobs(folder: Path) -> ObservedStore:
    return ObservedStore(file_store(folder))


@pytest.fixture
def server(database: Database, blobs: ObservedStore) -> Iterator[DicomwebServer]:
    made = DicomwebServer(database, blobs, DicomwebOptions())
    yield made
    made.stop()


def files_in(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


@pytest.mark.parametrize("operation", ["write", "commit_all"])
def test_a_full_disk_stores_nothing_and_says_so(server, blobs, folder, operation):
    blobs.before = full_at(operation)
    answer = server.store(*slices(1, 3))
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the storage has no room left"
    assert answer.headers["retry-after"]
    assert files_in(folder) == []
    assert server.get("/instances").json() == []
    blobs.before = lambda name: None
    assert server.store(*slices(1, 3)).status_code == 200
    assert len(server.get("/instances").json()) == 3


@pytest.mark.parametrize("operation", ["write", "commit_all"])
def test_a_store_that_goes_away_in_the_middle_acknowledges_nothing(
    server, blobs, folder, operation
):
    assert server.store(*slices(1, 2)).status_code == 200
    before = set(files_in(folder))
    calls = itertools.count()

    def away(name: str) -> None:
        if name == operation and next(calls) >= (operation == "write"):
            raise StorageUnavailable("nobody answers")

    blobs.before = away
    answer = server.store(*slices(3, 3))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert set(files_in(folder)) == before
    blobs.before = lambda name: None
    assert len(server.get("/instances").json()) == 2
    assert server.store(*slices(3, 3)).status_code == 200
    assert len(server.get("/instances").json()) == 5


def test_a_database_that_is_away_is_said_and_comes_back(database_url, blobs, folder):
    impatient = Database(database_url, wait_timeout_s=0.5)
    server = DicomwebServer(impatient, blobs)
    try:
        check_database_away(server)
    finally:
        server.stop()
        impatient.close()


def check_database_away(server):
    assert server.store(*slices(1, 1)).status_code == 200
    parts = conninfo_to_dict(server.database.url)
    admin = make_conninfo(server.database.url, dbname="postgres")
    name = psycopg.sql.Identifier(str(parts["dbname"]))
    session, other = server.session, {"Content-Type": MULTIPART}
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("alter database {} allow_connections false").format(name)
        )
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            (parts["dbname"],),
        )
        try:
            for path in ("/studies", SERIES + "/metadata", SERIES + "/instances/1.2.1.1"):
                answer = session.get(server.url + path, timeout=60)
                assert answer.status_code == 503, path
                assert answer.headers["content-type"] == "application/problem+json"
            posted = session.post(
                server.url + "/studies", data=multipart(slices(2, 1)), headers=other, timeout=60
            )
            assert posted.status_code == 503
        finally:
            connection.execute(
                psycopg.sql.SQL("alter database {} allow_connections true").format(name)
            )
    assert len(server.get("/instances").json()) == 1
    assert server.store(*slices(2, 1)).status_code == 200


def lost(blobs: ObservedStore, at: int) -> None:
    """From now on, the blob that is looked at as number ``at`` is gone."""
    looked = iter(range(1, 10_000))

    def check(name: str) -> None:
        if name in {"read", "open"} and next(looked) == at:
            raise BlobMissing("there is no blob of this key")

    blobs.before = check


def test_what_is_lost_is_our_fault_and_not_an_answer(server, blobs):
    assert server.store(*slices(1, 3)).status_code == 200
    for path, accept in (
        (SERIES + "/instances/1.2.1.2", "application/dicom; transfer-syntax=*"),
        (SERIES, STORED),
        (SERIES + "/instances/1.2.1.2/frames/1", "*/*"),
        (SERIES + "/instances/1.2.1.2/rendered", "image/png"),
        (SERIES + "/instances/1.2.1.2/bulkdata/7FE00010", "*/*"),
    ):
        lost(blobs, 1)
        answer = server.get(path, accept)
        assert answer.status_code == 500, path
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"])
def test_an_answer_that_breaks_off_does_not_look_like_success(server, blobs, syntax):
    count = 12
    objects = slices(1, count)
    if syntax != "1.2.840.10008.1.2.1":
        objects = [compressed(each) for each in objects]
    padded = [grown(each, 400_000) if syntax.endswith("1.2.1") else each for each in objects]
    assert server.store(*padded).status_code == 200
    lost(blobs, 9)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(
        "GET",
        "/dicomweb" + SERIES,
        headers={"Accept": DECODED, "Authorization": f"Bearer {server.token(Role.RADIOLOGIST)}"},
    )
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()


def grown(data: bytes, size: int) -> bytes:
    """The file with a private value of that size before its pixels."""
    ds = pydicom.dcmread(io.BytesIO(data))
    block = ds.private_block(0x0011, "ISOCENTER TEST", create=True)
    block.add_new(0x10, "OB", bytes(size))
    stream = io.BytesIO()
    ds.save_as(stream)
    return stream.getvalue()


def compressed(data: bytes) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    ds.save_as(stream)
    return stream.getvalue()


def test_a_slow_store_does_not_stop_the_others(server, blobs):
    assert server.store(*slices(1, 1)).status_code == 200
    assert server.get("/studies?limit=1").status_code == 200
    entered = threading.Event()
    go_on = threading.Event()

    def wait(name: str) -> None:
        if name in {"read", "open", "write"}:
            entered.set()
            assert go_on.wait(20)

    blobs.before = wait
    answers: list[int] = []
    path = SERIES + "/instances/1.2.1.1"
    for work in (
        lambda: server.get(path, "application/dicom").status_code,
        lambda: server.store(*slices(2, 1)).status_code,
    ):
        thread = threading.Thread(target=lambda work=work: answers.append(work()))
        entered.clear()
        thread.start()
        assert entered.wait(10)
        begun = time.monotonic()
        live = server.session_of(Role.ADMINISTRATOR).get(
            server.url.replace("/dicomweb", "/health/live"), timeout=5
        )
        assert live.status_code == 200
        assert server.session_of(Role.ADMINISTRATOR).get(server.url + "/studies").ok
        assert time.monotonic() - begun < 5
        go_on.set()
        thread.join(20)
        go_on.clear()
    assert answers == [200, 200]


def test_series_metadata_is_one_read_once_it_is_kept(server, blobs):
    count = 100
    assert server.store(*slices(1, count)).status_code == 200
    blobs.counts.clear()
    first = server.get(SERIES + "/metadata")
    assert len(first.json()) == count
    assert blobs.counts["read"] == count
    blobs.counts.clear()
    again = server.get(SERIES + "/metadata")
    assert again.content == first.content
    assert dict(blobs.counts) == {"read": 1}
    assert server.get("/studies/1.2/metadata").json() == first.json()


def test_kept_metadata_is_made_anew_when_the_series_grows_and_the_old_is_swept(
    server, blobs, database, folder
):
    server.store(*slices(1, 2))
    server.get(SERIES + "/metadata")
    old = set(files_in(folder))
    server.store(*slices(3, 1))
    assert len(server.get(SERIES + "/metadata").json()) == 3
    assert len(set(files_in(folder)) - old) == 2  # the instance, and the metadata
    with database.transaction() as tx:
        later = utc_now() + timedelta(days=2)
        assert archive.sweep(tx, Actor.system("test"), blobs, older_than=later, now=later) == 1
    assert len(server.get(SERIES + "/metadata").json()) == 3
    assert server.get(SERIES, STORED).status_code == 200


def test_metadata_that_is_lost_is_made_again(server, blobs, database, folder):
    server.store(*slices(1, 2))
    first = server.get(SERIES + "/metadata").json()
    (kept,) = (row.metadata_blob_key for row in series_rows(database))
    (folder / kept).unlink()
    assert server.get(SERIES + "/metadata").json() == first


def series_rows(database):
    with database.read() as tx:
        return archive.series_of(tx, Viewer.of(Actor.system("test"), Action.STUDY_READ), "1.2")


def test_many_who_ask_at_once_get_the_same_and_leave_one_object(server, database, folder):
    server.store(*slices(1, 20))
    before = set(files_in(folder))
    answers: list[bytes] = []

    def ask() -> None:
        session = server.session_of(Role.RADIOLOGIST)
        answers.append(session.get(server.url + SERIES + "/metadata", timeout=30).content)

    server.token(Role.RADIOLOGIST)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert len(answers) == 8
    assert len(set(answers)) == 1
    made = set(files_in(folder)) - before
    assert len(made) == 1
    (row,) = series_rows(database)
    assert made == {folder / row.metadata_blob_key}


def test_builders_of_different_processes_leave_one_object(server, database, blobs, folder):
    """Another process builds while more instances arrive: what describes more instances stays."""
    other = DicomwebServer(database, blobs, tokens=server.tokens)
    try:
        for number in range(1, 6):
            assert server.store(*slices(number, 1)).status_code == 200
            threads = [
                threading.Thread(target=each.get, args=(SERIES + "/metadata",))
                for each in (server, other)
            ]
            for each in threads:
                each.start()
            for each in threads:
                each.join(30)
        assert len(server.get(SERIES + "/metadata").json()) == 5
        assert len(other.get(SERIES + "/metadata").json()) == 5
        (row,) = series_rows(database)
        assert row.metadata_instances == 5
        assert (folder / row.metadata_blob_key).is_file()
    finally:
        other.stop()


def test_an_upload_that_is_given_up_leaves_nothing(server, folder):
    body = multipart(slices(1, 2))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("POST", "/dicomweb/studies")
    connection.putheader("Content-Type", MULTIPART)
    connection.putheader("Authorization", f"Bearer {server.token(Role.ADMINISTRATOR)}")
    connection.putheader("Content-Length", str(len(body) + 2_000_000))
    connection.endheaders()
    connection.send(body[: -len(BOUNDARY) - 20] + bytes(1_500_000))
    time.sleep(0.2)
    connection.close()
    deadline = time.monotonic() + 10
    while files_in(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert files_in(folder) == []
    assert server.get("/instances").json() == []


def test_each_opening_is_on_record_once_and_each_search(server):
    server.store(*slices(1, 3))
    server.get("/studies?PatientName=Phantom*&limit=1")
    (search,) = server.audited("study.search")
    assert search.actor == "administrator"
    assert "00100010" in search.detail["keys"]
    assert "Phantom" not in str(search.detail)
    threads = [
        threading.Thread(target=server.get, args=(path,))
        for path in ("/studies/1.2/metadata", *[f"{SERIES}/instances/1.2.1.{n}/frames/1"
                     for n in (1, 2, 3)], SERIES, SERIES + "/rendered",
                     SERIES + "/instances/1.2.1.1/bulkdata/7FE00010")
    ]  # fmt: skip
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    (opening,) = server.audited("study.retrieve")
    assert (opening.object_id, opening.patient_id) == ("1.2", "PH0001")
    server.clock.advance(minutes=11)
    server.get(SERIES + "/instances/1.2.1.1/frames/1")
    assert len(server.audited("study.retrieve")) == 2
    server.session_of(Role.RADIOLOGIST).get(server.url + SERIES + "/metadata", timeout=20)
    assert len(server.audited("study.retrieve")) == 3


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    log.configure(output_format="json", stream=stream)
    yield stream
    log.configure()


def test_logs_hold_nobodys_data(logged, server, blobs):
    server.store(*slices(1, 2), b"PatientName Phantom^Ada")
    server.get("/studies?PatientName=Phantom*&PatientID=PH0001")
    server.get("/studies?Phantom=PH0001")
    server.get(SERIES + "/metadata")
    lost(blobs, 1)
    assert server.get(SERIES, STORED).status_code == 500
    text = logged.getvalue()
    assert "instance_refused" in text
    assert "request_failed" in text
    for secret in ("Phantom", "PH0001", "A1 "):
        assert secret not in text
