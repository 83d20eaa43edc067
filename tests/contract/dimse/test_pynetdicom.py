"""pynetdicom as peer, in both directions."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from isocenter.domain.archive.model import Outcome
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse import scu
from isocenter.gateways.dimse.limits import Limits
from isocenter.standards.dicom.part10 import parse_file_meta
from isocenter.standards.dicom.values import DataSet

pynetdicom = pytest.importorskip("pynetdicom")
pytestmark = pytest.mark.peer("pynetdicom")

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CT_FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))


@pytest.fixture
def connect():
    """Opens associations as SCU; all are gone at the end."""
    opened = []

    def begin(running, *contexts, title="SCU", called="ARCHIVE", **associate):
        entity = pynetdicom.AE(ae_title=title)
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = 10
        for abstract_syntax, transfer_syntaxes in contexts:
            entity.add_requested_context(abstract_syntax, transfer_syntaxes)
        association = entity.associate("127.0.0.1", running.port, ae_title=called, **associate)
        opened.append(association)
        return association

    yield begin
    for association in opened:
        if association.is_established:
            association.release()


def ct(**changes) -> Dataset:
    dataset = pydicom.dcmread(CT_FILE)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def test_the_data_set_is_stored_byte_for_byte(running, connect, monkeypatch):
    # pynetdicom then sends the file's own bytes instead of encoding anew.
    monkeypatch.setattr(pynetdicom._config, "STORE_SEND_CHUNKED_DATASET", True)
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    assert association.send_c_store(CT_FILE).Status == 0x0000
    (arrival,) = running.archive.arrivals
    stored = running.store.read(arrival.instance.blob_key)
    sent = CT_FILE.read_bytes()
    offset = parse_file_meta(sent).dataset_offset
    assert stored[arrival.instance.dataset_offset :] == sent[offset:]


@pytest.mark.parametrize(
    "uid", ["1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.999", "2.25.123456789"]
)
def test_unknown_storage_classes_are_stored(running, connect, uid):
    association = connect(running, (uid, [ExplicitVRLittleEndian]))
    assert association.send_c_store(ct(SOPClassUID=uid)).Status == 0x0000
    assert running.archive.arrivals[0].instance.attributes[0x00080016] == uid


def test_an_unknown_transfer_syntax_is_accepted_as_proposed(running, connect):
    association = connect(running, (CT, ["1.2.3.4.5", ImplicitVRLittleEndian]))
    (context,) = association.accepted_contexts
    assert context.transfer_syntax == ["1.2.3.4.5"]


def test_what_is_no_storage_class_is_refused(running, connect):
    association = connect(
        running,
        ("1.2.840.10008.5.1.1.9", [ImplicitVRLittleEndian]),  # Basic Grayscale Print
        ("1.2.840.10008.5.1.4.1.2.2.2", [ImplicitVRLittleEndian]),  # Study Root MOVE
        ("1.2.840.10008.1.1", [ImplicitVRLittleEndian]),
    )
    assert [context.result for context in association.rejected_contexts] == [3, 3]
    assert association.send_c_echo().Status == 0x0000


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"SOPInstanceUID": "1.2.3"}, 0xA900),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, 0xA900),
    ],
)
def test_an_object_that_is_not_what_was_announced_is_refused(running, connect, changes, status):
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    dataset = ct()
    original = (dataset.SOPClassUID, dataset.SOPInstanceUID)
    stream = BytesIO()
    ct(**changes).save_as(stream)
    response = send_raw(association, *original, dataset_bytes(stream.getvalue()))
    assert response.Status == status
    assert response.ErrorComment
    assert running.archive.arrivals == []
    assert running.files() == []


def dataset_bytes(file: bytes) -> bytes:
    return file[parse_file_meta(file).dataset_offset :]


def send_raw(association, sop_class_uid, sop_instance_uid, data: bytes):
    """A C-STORE of any bytes under any identity."""
    from pynetdicom.dimse_primitives import C_STORE  # noqa: PLC0415  only with the peer

    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = sop_class_uid
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.Priority = 2
    request.DataSet = BytesIO(data)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    context_id = association.accepted_contexts[0].context_id
    association.dimse.send_msg(request, context_id)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return response


@pytest.mark.parametrize("data", [b"no data set at all", dataset_bytes(CT_FILE.read_bytes())[:300]])
def test_what_cannot_be_understood_is_refused_and_the_association_goes_on(running, connect, data):
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    assert send_raw(association, CT, "1.2.3", data).Status in {0xC000, 0xA900}
    assert running.files() == []
    assert association.send_c_store(ct()).Status == 0x0000


def test_what_ends_inside_its_pixels_is_refused_as_by_stow(running, connect):
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    data = dataset_bytes(CT_FILE.read_bytes())
    answer = send_raw(association, CT, ct().SOPInstanceUID, data[: len(data) * 3 // 4])
    assert (answer.Status, answer.ErrorComment[-17:]) == (0xC000, "inside its pixels")
    assert running.files() == []


def test_a_full_disk_is_out_of_resources(start, connect):
    running = start(Limits(free_bytes_min=1 << 60))
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    assert association.send_c_store(ct()).Status == 0xA700
    assert running.files() == []


class _Away(IsocenterError):
    kind = Kind.UNAVAILABLE


class _Defect(IsocenterError):
    kind = Kind.FAULT


@pytest.mark.parametrize(("error", "status"), [(_Away, 0xA700), (_Defect, 0x0110)])
def test_success_is_never_answered_without_commit(running, connect, error, status):
    def fail(batch):
        raise error("not now")

    running.archive.before = fail
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    response = association.send_c_store(ct())
    assert (response.Status, response.ErrorComment) == (status, "not now")
    running.archive.before = lambda batch: None
    assert association.send_c_store(ct()).Status == 0x0000


def test_a_defect_of_ours_is_a_processing_failure(running, connect):
    def fail(batch):
        raise ZeroDivisionError

    running.archive.before = fail
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    assert association.send_c_store(ct()).Status == 0x0110


def test_a_refused_object_leaves_no_blob(running, connect):
    running.archive.outcome = lambda arrival: Outcome.REFUSED
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    response = association.send_c_store(ct())
    assert (response.Status, response.ErrorComment) == (0xC000, "as told")
    assert running.files() == []


def test_a_duplicate_is_success_and_leaves_no_second_blob(running, connect):
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    assert association.send_c_store(ct()).Status == 0x0000
    running.archive.outcome = lambda arrival: Outcome.DUPLICATE
    assert association.send_c_store(ct()).Status == 0x0000
    association.release()
    assert len(running.files()) == 1


def test_a_header_longer_than_memory_is_read_back(start, connect):
    running = start(Limits(free_bytes_min=0, header_bytes=512))
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    assert association.send_c_store(ct()).Status == 0x0000
    instance = running.archive.arrivals[0].instance
    assert instance.attributes[0x0020000D] == ct().StudyInstanceUID
    assert instance.pixel_data_offset is not None


def test_an_object_over_the_limit_is_refused_and_the_next_one_is_not(start, connect):
    running = start(Limits(free_bytes_min=0, dataset_bytes_max=50_000))
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    large = ct()
    large.Rows, large.PixelData = 512, bytes(2 * 128 * 512)
    assert association.send_c_store(large).Status == 0xA700
    assert running.files() == []
    assert association.send_c_store(ct()).Status == 0x0000


def test_concurrent_associations_share_commits_and_a_bad_object_harms_no_other(running, connect):
    running.archive.before = lambda batch: time.sleep(0.05)
    associations = [connect(running, (CT, [ExplicitVRLittleEndian])) for _ in range(8)]
    bad = CT, "1.2.3", b"no data set at all"

    def work(number):
        if number == 3:
            return [send_raw(associations[number], *bad).Status for _ in range(4)]
        return [
            associations[number].send_c_store(ct(SOPInstanceUID=f"1.2.{number}.{each}")).Status
            for each in range(4)
        ]

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(work, range(8)))
    for each in associations:
        each.release()
    assert [set(each) for each in statuses] == [{0xC000} if n == 3 else {0} for n in range(8)]
    assert sum(running.archive.batches) == 28
    assert max(running.archive.batches) > 1
    assert len(running.files()) == 28


def test_more_associations_than_allowed_are_refused_for_now(start, connect):
    running = start(Limits(free_bytes_min=0, associations_max=2))
    context = ("1.2.840.10008.1.1", [ImplicitVRLittleEndian])
    first, second, third = (connect(running, context) for _ in range(3))
    assert first.is_established
    assert second.is_established
    assert third.is_rejected
    assert third.acceptor.primitive.result == 2
    first.release()
    assert connect(running, context).is_established


def test_one_address_cannot_take_all(start, connect):
    running = start(Limits(free_bytes_min=0, associations_per_address_max=1))
    context = ("1.2.840.10008.1.1", [ImplicitVRLittleEndian])
    assert connect(running, context).is_established
    # pynetdicom sometimes loses the refusal between its threads: it is told every time.
    attempts = [connect(running, context) for _ in range(3)]
    assert not any(each.is_established for each in attempts)
    assert any(each.is_rejected for each in attempts)


def test_a_failing_query_names_its_reason(running, connect):
    class Refused(IsocenterError):
        kind = Kind.INCORRECT

    def fail(request):
        yield from ()
        raise Refused("no such level")

    running.answers.matches = fail
    association = connect(running, (STUDY_ROOT_FIND, [ExplicitVRLittleEndian]))
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "NOWHERE"
    ((status, _),) = association.send_c_find(identifier, STUDY_ROOT_FIND)
    assert (status.Status, status.ErrorComment) == (0xA900, "no such level")


def test_a_drain_lets_a_message_finish_and_then_aborts(running, connect):
    events = []

    def slow(batch):
        events.append("committing")
        running.loop.call_soon_threadsafe(
            lambda: events.append(running.loop.create_task(running.server.drain(10)))
        )
        time.sleep(0.3)

    running.archive.before = slow
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    assert association.send_c_store(ct()).Status == 0x0000
    association.join(5)
    assert association.is_aborted
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", running.port)) != 0


@pytest.fixture
def scp():
    """Runs pynetdicom as SCP with handlers; returns its port."""
    servers = []

    def begin(handlers, *abstract_syntaxes):
        entity = pynetdicom.AE(ae_title="PEER")
        for abstract_syntax in abstract_syntaxes:
            entity.add_supported_context(
                abstract_syntax, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
            )
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        servers.append(server)
        return server.server_address[1]

    yield begin
    for server in servers:
        server.shutdown()


def peer(port: int) -> scu.Peer:
    return scu.Peer(
        host="127.0.0.1",
        port=port,
        called_ae_title="PEER",
        calling_ae_title="ISOCENTER",
        timeout_s=10,
    )


def test_our_echo(scp):
    port = scp([], "1.2.840.10008.1.1")
    assert asyncio.run(scu.echo(peer(port))).is_done


def test_our_store_arrives_byte_for_byte(scp):
    received = []

    def handle(event):
        received.append(event.request.DataSet.getvalue())
        return 0xB007

    port = scp([(pynetdicom.evt.EVT_C_STORE, handle)], CT)
    data = dataset_bytes(CT_FILE.read_bytes())
    pieces = [data[:1], data[1:20001], data[20001:]]
    item = scu.StoreItem(CT, ct().SOPInstanceUID, ExplicitVRLittleEndian, pieces)
    (status,) = asyncio.run(scu.store(peer(port), [item]))
    assert status.status == 0xB007
    assert status.is_done
    assert received == [data]


def test_our_find_gets_matches_in_their_character_set(scp):
    def handle(event):
        assert event.identifier.PatientName == "Phant*"
        for number in range(3):
            answer = Dataset()
            answer.SpecificCharacterSet = "ISO_IR 100"
            answer.PatientName = "Phantöm^Ada"
            answer.StudyInstanceUID = f"1.2.{number}"
            yield 0xFF00, answer

    port = scp([(pynetdicom.evt.EVT_C_FIND, handle)], STUDY_ROOT_FIND)
    identifier = DataSet()
    identifier.put("QueryRetrieveLevel", "STUDY")
    identifier.put("PatientName", "Phant*")
    found = asyncio.run(scu.find(peer(port), STUDY_ROOT_FIND, identifier))
    assert [match.text(0x0020000D) for match in found] == ["1.2.0", "1.2.1", "1.2.2"]
    assert found[0].text(0x00100010) == "Phantöm^Ada"


def test_our_find_cancels_after_enough(scp):
    cancelled = []

    def handle(event):
        for number in range(100_000):
            if event.is_cancelled:
                cancelled.append(number)
                yield 0xFE00, None
                return
            answer = Dataset()
            answer.StudyInstanceUID = f"1.2.{number}"
            yield 0xFF00, answer

    port = scp([(pynetdicom.evt.EVT_C_FIND, handle)], STUDY_ROOT_FIND)
    identifier = DataSet()
    identifier.put("QueryRetrieveLevel", "STUDY")
    found = asyncio.run(scu.find(peer(port), STUDY_ROOT_FIND, identifier, matches_max=2))
    assert len(found) == 2
    assert cancelled


def test_a_failed_query_is_an_error(scp):
    port = scp([(pynetdicom.evt.EVT_C_FIND, lambda event: iter([(0xA700, None)]))], STUDY_ROOT_FIND)
    with pytest.raises(scu.PeerFault, match="A700"):
        asyncio.run(scu.find(peer(port), STUDY_ROOT_FIND, DataSet()))


def test_a_refusal_says_why():
    entity = pynetdicom.AE(ae_title="PEER")
    entity.add_supported_context("1.2.840.10008.1.1")
    entity.require_calling_aet = ["SOMEBODY"]
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(scu.AssociationRefused, match="calling AE title not recognized"):
            asyncio.run(scu.echo(peer(server.server_address[1])))
    finally:
        server.shutdown()
