"""What goes wrong on the way in and out: bad requests, ranges, rights, limits."""

import io
import socket

import pydicom
import pytest
import requests
from pydicom.encaps import encapsulate

from isocenter.domain.access.model import Role
from isocenter.gateways.dicomweb.options import DicomwebOptions
from tests.contract.dicomweb.test_clients import FILES, a_file
from tests.dicomweb_server import BOUNDARY, MULTIPART, multipart

INSTANCE = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1"
FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*"
RLE = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.3"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OBJECT_BYTES_MAX = 100_000


@pytest.fixture(scope="module")
def server(make_server):
    options = DicomwebOptions(
        object_bytes_max=OBJECT_BYTES_MAX,
        objects_max=40,
        search_results_max=5,
        rendered_pixels_max=1 << 20,
    )
    made = make_server(options=options, upload_bytes_max=4_000_000)
    assert made.store(*FILES.values()).status_code == 200
    return made


@pytest.fixture(autouse=True)
def nothing_changes(server):
    """Whatever a test of this module sends, this study stays as it is."""
    yield
    assert len(server.get("/instances?StudyInstanceUID=1.2.1").json()) == 4


def post(server, body, content_type=MULTIPART, path="/studies"):
    headers = {"Content-Type": content_type}
    return server.session.post(server.url + path, data=body, headers=headers, timeout=60)


def is_there(server, uid: str) -> bool:
    return bool(server.get(f"/instances?SOPInstanceUID={uid}").json())


def problem(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    return body["detail"]


def test_a_body_cut_short_leaves_nothing_behind(server):
    body = multipart([a_file(1, 7, 1), a_file(1, 7, 2)])
    for end in (len(body) - 5, len(body) // 2, 20):
        assert "closing boundary" in problem(post(server, body[:end]), 400)
    assert not is_there(server, "1.2.1.7.1")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=another', 400),
        (f'multipart/related; type="application/dicom"; boundary="{"x" * 80}"', 400),
        (f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}', 400),
        (f'multipart/related; type="text/plain"; boundary={BOUNDARY}', 415),
        (f"multipart/form-data; boundary={BOUNDARY}", 415),
        ("application/json", 415),
        ("image/jpeg", 415),
        ("nonsense", 400),
        ("", 400),
    ],
)
def test_bodies_that_are_not_ours(server, content_type, status):
    assert problem(post(server, multipart([a_file(1, 7, 1)]), content_type), status)
    assert not is_there(server, "1.2.1.7.1")


def test_boundaries_are_quoted_or_not_and_types_may_be_left_out(server):
    for number, content_type in enumerate((
        f"multipart/related; type=application/dicom; boundary={BOUNDARY}",
        f'Multipart/Related; boundary="{BOUNDARY}"; type="application/dicom"',
        f"multipart/related; boundary={BOUNDARY}",
    )):
        data = a_file(3, 8, number)
        body = f"--{BOUNDARY}\r\n\r\n".encode() + data + f"\r\n--{BOUNDARY}--".encode()
        assert post(server, body, content_type).status_code == 200
        assert is_there(server, f"1.2.3.8.{number}")


def test_an_empty_body_stores_nothing(server):
    assert "no object" in problem(post(server, f"--{BOUNDARY}--\r\n".encode()), 400)
    assert post(server, b"", "application/dicom").status_code == 409


def test_one_bad_object_among_many_harms_no_other(server):
    no_series = pydicom.dcmread(io.BytesIO(a_file(3, 9, 98)))
    del no_series.SeriesInstanceUID
    stream = io.BytesIO()
    no_series.save_as(stream)
    good = [a_file(3, 9, number) for number in range(10)]
    cut = a_file(3, 9, 99)[:-400]
    answer = server.store(*good[:5], b"this is no DICOM", stream.getvalue(), cut, *good[5:])
    assert answer.status_code == 202
    dataset = pydicom.Dataset.from_json(answer.json())
    assert [each.ReferencedSOPInstanceUID for each in dataset.ReferencedSOPSequence] == [
        f"1.2.3.9.{number}" for number in range(10)
    ]
    (failed,) = dataset.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.3.9.98", 0xC000)
    others = dataset[0x0008119A].value
    assert [each.FailureReason for each in others] == [0xC000, 0xC000]
    assert is_there(server, "1.2.3.9.7")
    assert not is_there(server, "1.2.3.9.98")
    assert not is_there(server, "1.2.3.9.99")
    alone = server.store(b"this is no DICOM")
    assert alone.status_code == 409
    assert "00081199" not in alone.json()


def encapsulated(number: int, frames: list[bytes]) -> bytes:
    """An object of these compressed frames, each in a fragment."""
    ds = pydicom.dcmread(io.BytesIO(a_file(3, 24, number)))
    ds.NumberOfFrames = len(frames)
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"
    stream = io.BytesIO()
    ds.save_as(stream)
    return stream.getvalue()


def test_files_that_end_inside_their_pixel_data_are_refused_each(server):
    native = a_file(3, 24, 1, PixelData=bytes(4096))
    frames = [bytes([number]) * 100 for number in range(4)]
    whole = encapsulated(2, frames)
    delimiter = 8
    answer = server.store(
        native[:-1],
        encapsulated(3, frames)[:-150],  # inside a fragment
        encapsulated(4, frames)[: -delimiter - 108],  # between two
        whole,
        encapsulated(5, frames)[:-delimiter],  # of some writers: every fragment is there
    )
    assert answer.status_code == 202
    dataset = pydicom.Dataset.from_json(answer.json())
    failed = {
        each.ReferencedSOPInstanceUID: each.FailureReason for each in dataset.FailedSOPSequence
    }
    assert failed == {f"1.2.3.24.{number}": 0xC000 for number in (1, 3, 4)}
    kept = [each.ReferencedSOPInstanceUID for each in dataset.ReferencedSOPSequence]
    assert kept == ["1.2.3.24.2", "1.2.3.24.5"]
    assert server.store(native[:-1]).status_code == 409
    assert not is_there(server, "1.2.3.24.1")
    assert server.store(native).status_code == 200  # whole, it comes in


def test_parts_of_another_type_are_refused_alone(server):
    body = multipart([a_file(3, 10, 1)])[: -len(f"--{BOUNDARY}--\r\n")]
    body += multipart([b"\xff\xd8\xff"], kind="image/jpeg")
    answer = post(server, body)
    assert answer.status_code == 202
    assert len(answer.json()["0008119A"]["Value"]) == 1


def test_a_path_takes_its_own_study_only(server):
    answer = server.store(a_file(2, 11, 1), a_file(3, 11, 1), study="1.2.2")
    assert answer.status_code == 202
    dataset = pydicom.Dataset.from_json(answer.json())
    assert dataset.FailedSOPSequence[0].FailureReason == 0xA900
    assert dataset.RetrieveURL == f"{server.url}/studies/1.2.2"
    assert not is_there(server, "1.2.3.11.1")
    assert server.store(a_file(3, 11, 1), study="1.2.2").status_code == 409


def test_other_bytes_under_a_known_uid_are_kept_beside_the_first(server):
    other = a_file(1, 1, 1, SeriesDescription="Changed")
    assert server.store(other).status_code == 200
    assert server.get(INSTANCE, "application/dicom").content == FILES["1.2.1.1.1"]


def test_objects_and_bodies_may_be_too_large(server):
    large = a_file(3, 12, 1, PixelData=bytes(OBJECT_BYTES_MAX))
    alone = server.store(large)
    assert alone.status_code == 413
    assert alone.json()["0008119A"]["Value"][0]["00081197"]["Value"] == [0xA700]
    among = server.store(a_file(3, 12, 2), large, a_file(3, 12, 3))
    assert among.status_code == 202
    assert is_there(server, "1.2.3.12.3")
    assert not is_there(server, "1.2.3.12.1")
    assert problem(post(server, bytes(4_000_001)), 413)


def test_there_are_objects_enough_in_one_request(server):
    objects = [a_file(3, 13, number) for number in range(41)]
    detail = problem(server.store(*objects), 413)
    assert "more than 40 objects" in detail
    assert "first 32 are stored" in detail
    assert server.store(*objects[:40]).status_code == 200


UIDS = ["1.2.1/../1.2.2", "*", "1.2.*", "9" * 2000, "1.2.1%2F..%2F", "%00", "%0d%0a", "'", "%F0%9F"]


@pytest.mark.parametrize("uid", UIDS, ids=lambda each: each[:12])
def test_strange_uids_find_nothing(server, uid):
    for path in (
        f"/studies/{uid}",
        f"/studies/{uid}/metadata",
        f"/studies/1.2.1/series/{uid}",
        f"/studies/1.2.1/series/1.2.1.1/instances/{uid}",
        f"/studies/1.2.1/series/1.2.1.1/instances/{uid}/frames/1",
    ):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        token = server.token(Role.ADMINISTRATOR)
        connection.sendall(
            f"GET /dicomweb{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Accept: */*\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        with connection, connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
        assert status in {400, 404}, path


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("PatientNane=x", "PatientNane"),
        ("00100010x=x", "00100010x"),
        ("includefield=Nonsense", "Nonsense"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("offset=1e3", "offset"),
        ("fuzzymatching=maybe", "fuzzymatching"),
        ("StudyDate=yesterday", "0008,0020"),
        ("StudyDate=20260101-20260102-20260103", "0008,0020"),
        ("StudyTime=99", "0008,0030"),
        ("NumberOfStudyRelatedSeries=x", "0020,1206"),
    ],
)
def test_searches_that_make_no_sense_are_told_why(server, query, named):
    assert named in problem(server.get(f"/studies?{query}"), 400)


def test_wildcards_do_not_apply_to_uids(server):
    assert server.get("/studies?StudyInstanceUID=1.2.*").json() == []


def test_what_is_not_matched_or_not_returned_is_said(server):
    answer = server.get("/studies?KVP=120")
    assert "00180060" in answer.headers["warning"]
    many = server.get("/instances")
    assert len(many.json()) == 5
    assert "number of results exceeded" in many.headers["warning"]
    assert "warning" not in server.get("/instances?limit=2").headers


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/studies", "text/html", 406),
        ("/studies", "application/dicom+xml", 406),
        ("/studies", "*;;;", 400),
        ("/studies", "application/json;q=2", 400),
        ("/studies/1.2.1/metadata", "image/png", 406),
        ("/studies/1.2.1", "application/dicom", 406),  # four objects are no single body
        (INSTANCE, "image/jpeg", 406),
        (INSTANCE, "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.102", 406),
        (INSTANCE + "/frames/1", "video/mp4", 406),
        (INSTANCE + "/rendered", "application/dicom", 406),
        (INSTANCE + "/rendered", ",".join(["a/b"] * 100), 400),
        (INSTANCE + "/bulkdata/7FE00010", "image/png", 406),
    ],
)
def test_what_cannot_be_had_is_not_sent(server, path, accept, status):
    assert problem(server.get(path, accept), status)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (INSTANCE + "/frames/2", 404), (INSTANCE + "/frames/0", 400),
        (INSTANCE + "/frames/1,x", 400), (INSTANCE + "/frames/" + "1," * 10_000 + "1", 400),
        (INSTANCE + "/rendered?window=a,b", 400), (INSTANCE + "/rendered?quality=0", 400),
        (INSTANCE + "/rendered?viewport=16384,16384", 413),
        (INSTANCE + "/rendered?viewport=0,5", 400),
        (INSTANCE + "/frames/9/rendered", 404),
        (INSTANCE + "/bulkdata/00100010", 404), (INSTANCE + "/bulkdata/zz/1", 404),
        ("/studies/1.2.1/series/1.2.1.2/instances/1.2.1.2.1/rendered", 404),
        ("/studies/1.2.1/series/1.2.1.2/instances/1.2.1.2.1/pixeldata", 404),
        ("/studies/1.2.2/series/1.2.1.1/instances/1.2.1.1.1", 404),
        ("/studies/1.2.99/metadata", 404), ("/nothing", 404),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(server, path, status):
    assert problem(server.get(path), status)


def test_methods_that_are_not_offered(server):
    for method, path in (("DELETE", "/studies"), ("PUT", INSTANCE), ("POST", "/series")):
        answer = server.session.request(method, server.url + path, timeout=10)
        assert answer.status_code == 405
        assert answer.headers["allow"]


def test_strangers_and_the_front_desk_see_no_images(server):
    paths = (
        "/studies",
        INSTANCE,
        INSTANCE + "/metadata",
        INSTANCE + "/frames/1",
        INSTANCE + "/rendered",
        INSTANCE + "/bulkdata/7FE00010",
        "/studies/1.2.1/thumbnail",
    )
    for path in paths:
        assert requests.get(server.url + path, timeout=10).status_code == 401
        desk = server.session_of(Role.FRONT_DESK).get(server.url + path, timeout=10)
        assert "may not" in problem(desk, 403)
    assert requests.post(server.url + "/studies", data=b"x", timeout=10).status_code in {401, 403}
    desk = server.session_of(Role.FRONT_DESK).post(
        server.url + "/studies", data=multipart([a_file(3, 14, 1)]),
        headers={"Content-Type": MULTIPART}, timeout=10,
    )  # fmt: skip
    assert desk.status_code == 403
    assert not is_there(server, "1.2.3.14.1")


RANGED = [
    (INSTANCE, "application/dicom"),
    (INSTANCE, STORED),
    ("/studies/1.2.1", STORED),
    (INSTANCE + "/frames/1", FRAMES),
    (INSTANCE + "/frames/1", "application/octet-stream"),
    (RLE + "/frames/3,1", FRAMES),
    (RLE + "/frames/2", "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"),
    (INSTANCE + "/bulkdata/7FE00010", "application/octet-stream"),
    (INSTANCE + "/bulkdata/7FE00010", "multipart/related; type=application/octet-stream"),
]


@pytest.mark.parametrize(("path", "accept"), RANGED)
def test_byte_ranges_join_to_the_whole(server, path, accept):
    whole = server.get(path, accept)
    assert whole.status_code == 200
    assert whole.headers["accept-ranges"] == "bytes"
    size, step = len(whole.content), len(whole.content) // 7 + 1
    joined = b""
    for start in range(0, size, step):
        wanted = {"Range": f"bytes={start}-{start + step - 1}"}
        part = server.get(path, accept, headers=wanted | {"If-Range": whole.headers["etag"]})
        assert part.status_code == 206
        end = min(start + step, size) - 1
        assert part.headers["content-range"] == f"bytes {start}-{end}/{size}"
        assert part.headers["content-type"] == whole.headers["content-type"]
        joined += part.content
    assert joined == whole.content
    last = server.get(path, accept, headers={"Range": "bytes=-10"})
    assert last.content == whole.content[-10:]
    beyond = server.get(path, accept, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.content) == (416, b"")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    for ignored in ("bytes=5-2", "lines=1-2", "bytes=a-b"):
        assert server.get(path, accept, headers={"Range": ignored}).status_code == 200
    changed = {"Range": "bytes=0-3", "If-Range": '"another"'}
    assert server.get(path, accept, headers=changed).status_code == 200


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        *RANGED, (INSTANCE + "/metadata", "*/*"), ("/studies/1.2.1/metadata", "*/*"),
        (INSTANCE + "/rendered", "image/png"), ("/studies/1.2.1/thumbnail", "image/jpeg"),
        ("/studies/1.2.1", 'multipart/related; type="application/dicom"'),
    ],
)  # fmt: skip
def test_what_the_client_has_is_not_sent_again(server, path, accept):
    first = server.get(path, accept)
    tag = first.headers["etag"]
    for known in (tag, f'"x", {tag}', "*", f"W/{tag.removeprefix('W/')}"):
        again = server.get(path, accept, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"].removeprefix("W/") == tag.removeprefix("W/")
    assert server.get(path, accept, headers={"If-None-Match": '"x"'}).status_code == 200


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        *RANGED, ("/studies", "*/*"), (INSTANCE + "/metadata", "*/*"),
        (INSTANCE + "/rendered", "image/png"),
        ("/studies/1.2.1", 'multipart/related; type="application/dicom"'),
    ],
)  # fmt: skip
def test_head_says_what_get_would(server, path, accept):
    whole = server.get(path, accept, headers={"Accept-Encoding": "identity"})
    head = server.session.head(
        server.url + path, headers={"Accept": accept, "Accept-Encoding": "identity"}, timeout=10
    )
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == whole.headers["content-type"]
    if "content-length" in whole.headers:
        assert head.headers.get("content-length") == whole.headers["content-length"]
    # The connection is still in step with us.
    assert server.get("/studies?limit=1").status_code == 200


def test_metadata_changes_its_tag_when_the_series_grows(server):
    def state():
        return server.get("/studies/1.2.2/series/1.2.2.20/metadata")

    server.store(a_file(2, 20, 1))
    first = state()
    server.store(a_file(2, 20, 2))
    second = state()
    assert first.headers["etag"] != second.headers["etag"]
    assert (len(first.json()), len(second.json())) == (1, 2)
    assert first.headers["cache-control"] == "private, no-cache"
