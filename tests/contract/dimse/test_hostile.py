"""Peers that mean harm or are broken: raw sockets against a running server."""

import shutil
import socket
import time

import pytest

from isocenter.gateways.dimse.limits import Limits
from isocenter.standards.dicom.dimse import command_set
from isocenter.standards.dicom.dimse.messages import CFindRequest, CStoreRequest
from isocenter.standards.dicom.ul import pdu
from isocenter.standards.dicom.ul.items import UserInformation
from isocenter.standards.dicom.values import DataSet

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
REQUEST = pdu.encode(
    pdu.AssociateRequest(
        "ARCHIVE",
        "SCU",
        (pdu.ProposedContext(1, CT, ("1.2.840.10008.1.2.1",)),),
        UserInformation(16384, "1.2.3"),
    )
)
ABORT_BY_USER = bytes.fromhex("07000000000400000000")
QUICK = Limits(free_bytes_min=0, artim_timeout_s=0.3, idle_timeout_s=0.6, stall_timeout_s=0.3)


def dial(running) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", running.port), timeout=10)
    peer.settimeout(10)
    return peer


def read_all(peer: socket.socket) -> bytes:
    """All that the server says until it closes."""
    data = b""
    while True:
        try:
            piece = peer.recv(65536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


def established(running) -> socket.socket:
    peer = dial(running)
    peer.sendall(REQUEST)
    answer = peer.recv(65536)
    assert answer[0] == pdu.PduType.ASSOCIATE_AC
    return peer


def store_beginning(size: int) -> bytes:
    command = command_set.encode(
        CStoreRequest(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2.3")
    )
    values = (
        pdu.PresentationDataValue(1, is_command=True, is_last=True, data=command),
        pdu.PresentationDataValue(1, is_command=False, is_last=False, data=bytes(size)),
    )
    return pdu.encode(pdu.PData(values))


def wait_until(condition, timeout_s: float = 5) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def check_still_works(running) -> None:
    with established(running) as peer:
        peer.sendall(pdu.encode(pdu.ReleaseRequest()))
        assert peer.recv(100) == pdu.encode(pdu.ReleaseResponse())


@pytest.mark.parametrize("data", [b"", b"\x01\0\0\0\0\x80half of it", REQUEST[:-1]])
def test_silence_before_an_association_ends_with_artim(start, data):
    running = start(QUICK)
    with dial(running) as peer:
        peer.sendall(data)
        began = time.monotonic()
        assert read_all(peer) == b""
        assert 0.2 < time.monotonic() - began < 5
    check_still_works(running)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"\xff" * 64,
    ],
)
def test_what_is_not_dicom_is_aborted_at_once(start, data):
    running = start(QUICK)
    with dial(running) as peer:
        peer.sendall(data)
        assert read_all(peer) == ABORT_BY_USER
    check_still_works(running)


@pytest.mark.parametrize("length", [1 << 20, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_oversize_pdu_is_refused_by_its_header(start, length):
    running = start(QUICK)
    with established(running) as peer:
        peer.sendall(b"\x04\0" + length.to_bytes(4, "big") + b"x" * 100)
        assert read_all(peer) == bytes.fromhex("07000000000400000206")
    check_still_works(running)


def test_a_stall_in_the_middle_of_a_message_is_ended_and_leaves_nothing(start):
    running = start(QUICK)
    with established(running) as peer:
        peer.sendall(store_beginning(10000))
        assert read_all(peer) == ABORT_BY_USER
    wait_until(lambda: running.files() == [])
    assert running.archive.arrivals == []


def test_an_idle_association_is_ended(start):
    running = start(QUICK)
    with established(running) as peer:
        assert read_all(peer) == ABORT_BY_USER
    wait_until(lambda: running.server.associations == 0)


@pytest.mark.parametrize("ending", [ABORT_BY_USER, b"", b"\x09garbage"])
def test_an_abort_in_the_middle_of_an_object_leaves_nothing(running, ending):
    with established(running) as peer:
        peer.sendall(store_beginning(100_000))
        wait_until(lambda: len(running.files()) == 1)
        peer.sendall(ending)
    wait_until(lambda: running.files() == [])
    assert running.archive.arrivals == []
    check_still_works(running)


def test_a_command_in_the_place_of_data_is_refused(running):
    with established(running) as peer:
        peer.sendall(store_beginning(10) * 2)
        assert peer.recv(100) == bytes.fromhex("07000000000400000206")
    wait_until(lambda: running.files() == [])


def test_a_context_that_was_not_agreed_is_refused(running):
    with established(running) as peer:
        peer.sendall(bytes.fromhex("040000000006000000020503"))
        assert peer.recv(100) == bytes.fromhex("07000000000400000206")


def test_a_peer_that_goes_while_it_is_decided_on_is_forgotten(running):
    for _ in range(20):
        with dial(running) as peer:
            peer.sendall(REQUEST)
    wait_until(lambda: running.server.associations == 0)
    check_still_works(running)


def test_many_connections_leave_room_for_honest_ones(start):
    running = start(Limits(free_bytes_min=0, artim_timeout_s=0.5, connections_max=50))
    crowd = [dial(running) for _ in range(120)]
    time.sleep(1.0)
    check_still_works(running)
    for peer in crowd:
        peer.close()


def test_a_peer_that_does_not_read_its_matches_ends_the_query(start):
    closed = []

    def endless(request):
        try:
            while True:
                answer = DataSet()
                answer.put("StudyDescription", "x" * 60)
                yield answer
        finally:
            closed.append(True)

    running = start(QUICK)
    running.answers.matches = endless
    find = pdu.AssociateRequest(
        "ARCHIVE",
        "SCU",
        (pdu.ProposedContext(1, STUDY_ROOT_FIND, ("1.2.840.10008.1.2",)),),
        UserInformation(16384, "1.2.3"),
    )
    command = CFindRequest(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND)
    values = (
        pdu.PresentationDataValue(1, True, True, command_set.encode(command)),
        pdu.PresentationDataValue(1, False, True, b""),
    )
    with dial(running) as peer:
        peer.sendall(pdu.encode(find))
        assert peer.recv(65536)[0] == pdu.PduType.ASSOCIATE_AC
        peer.sendall(pdu.encode(pdu.PData(values)))
        wait_until(lambda: closed == [True], 20)
        wait_until(lambda: running.server.associations == 0)
    check_still_works(running)


def test_a_storage_that_fails_is_out_of_resources(running):
    shutil.rmtree(running.folder)
    with established(running) as peer:
        peer.sendall(store_beginning(10))
        last = pdu.PresentationDataValue(1, is_command=False, is_last=True, data=b"xx")
        peer.sendall(pdu.encode(pdu.PData((last,))))
        answer = memoryview(peer.recv(65536))
        (value,) = pdu.parse_p_data(answer[6:])
        response = command_set.decode(value.data)
        assert response.status == 0xA700


def test_bytes_one_at_a_time_are_as_good(running):
    with dial(running) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in REQUEST:
            peer.send(bytes([byte]))
        assert peer.recv(65536)[0] == pdu.PduType.ASSOCIATE_AC
