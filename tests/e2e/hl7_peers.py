"""HL7 v2 peers of python-hl7 and raw sockets: an EHR that sends, one that receives."""

import socket
import socketserver
import threading
import time

import hl7

VT, FS_CR = b"\x0b", b"\x1c\r"


def send(
    port: int, message: bytes, *, chunk_bytes: int | None = None, answers: int = 1
) -> list[bytes]:
    """Send one framed message over a connection of its own; return what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        frame = VT + message + FS_CR
        step = chunk_bytes or len(frame)
        for start in range(0, len(frame), step):
            connection.sendall(frame[start : start + step])
        return read_frames(connection, count=answers)


def read_frames(connection: socket.socket, *, count: int, quiet_s: float = 0.3) -> list[bytes]:
    """Read frames: wait for ``count`` of them, then a little longer for one too many."""
    buffer = b""
    while True:
        connection.settimeout(20 if buffer.count(FS_CR) < count else quiet_s)
        try:
            data = connection.recv(65536)
        except TimeoutError:
            break
        if not data:
            break
        buffer += data
    return [part.split(VT, 1)[1] for part in buffer.split(FS_CR) if VT in part]


def parse(message: bytes) -> hl7.Message:
    return hl7.parse(message.decode("utf-8"))


def acknowledgement_code(message: bytes) -> str:
    return str(parse(message).segment("MSA")[1])


def registration(
    patient_id: str, name: str, *, control_id: str, event: str = "A04", **more: str
) -> bytes:
    stamp = more.get("stamp", time.strftime("%Y%m%d%H%M%S"))
    head = f"MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|{stamp}||ADT^{event}^ADT_A01|{control_id}|P|2.5.1"
    birth_date, sex = more.get("birth_date", "19600229"), more.get("sex", "F")
    segments = [
        head,
        f"EVN|{event}|{stamp}",
        f"PID|1||{patient_id}^^^HOSP^MR||{name}||{birth_date}|{sex}",
        "PV1|1|O|RAD^1^1",
    ]
    if merged := more.get("merged"):
        segments.insert(3, f"MRG|{merged}^^^HOSP^MR")
    return "\r".join([*segments, ""]).encode()


def order(
    patient_id: str,
    name: str,
    *,
    control_id: str,
    placer: str,
    control: str = "NW",
    accession: str = "",
    study_uid: str = "",
    modality: str = "CT",
    station: str = "",
    start: str = "",
) -> bytes:
    stamp = time.strftime("%Y%m%d%H%M%S")
    start = start or stamp
    obr = [""] * 45
    obr[1], obr[2], obr[4] = "1", f"{placer}^EHR", "CTHEAD^CT of the head^L^CTHEAD^CT of the head^L"
    obr[18], obr[24], obr[27] = accession, modality, f"^^^{start}^^R"
    obr[21] = station
    segments = [
        f"MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|{stamp}||ORM^O01|{control_id}|P|2.3.1",
        f"PID|1||{patient_id}^^^HOSP^MR||{name}||19600229|F",
        "PV1|1|O|RAD^1^1",
        f"ORC|{control}|{placer}^EHR|||||^^^{start}^^R||{stamp}|||77^Referrer^Synthetic",
        "OBR|" + "|".join(obr[1:]).rstrip("|"),
    ]
    if study_uid:
        segments.append(f"ZDS|{study_uid}^^Application^DICOM")
    return "\r".join([*segments, ""]).encode()


class ResultReceiver:
    """An EHR that receives results over MLLP and answers as told; keeps what it got, in order."""

    def __init__(self, port: int = 0) -> None:
        self.received: list[hl7.Message] = []
        self.answer = "AA"
        self.silent = False
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                buffer = b""
                while data := self.request.recv(65536):
                    buffer += data
                    while FS_CR in buffer:
                        frame, buffer = buffer.split(FS_CR, 1)
                        outer._take(self.request, frame.split(VT, 1)[1])

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _take(self, connection: socket.socket, raw: bytes) -> None:
        message = hl7.parse(raw.decode("utf-8"))
        self.received.append(message)
        if not self.silent:
            acknowledgement = str(message.create_ack(ack_code=self.answer))
            connection.sendall(VT + acknowledgement.encode() + FS_CR)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
