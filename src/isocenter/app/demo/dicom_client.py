"""The simulated modalities' own DICOM client: echo, query, store, performed step, commitment.

Of the demonstration and of the conformance bench. Written apart from the product's own DICOM
stack, as another vendor's would be: blocking sockets, command sets by pydicom, one presentation
context per SOP class. It requests; it never listens.
"""

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Self

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

VERIFICATION = "1.2.840.10008.1.1"
WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"

_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_IMPLEMENTATION = "2.25.120213487392184739201837465102938475610"
_LENGTH_MAX = 131_072
_TIMEOUT_S = 60.0
_ASSOCIATE_RQ, _ASSOCIATE_AC, _ASSOCIATE_RJ, _DATA, _RELEASE_RQ, _RELEASE_RP = range(1, 7)
_CONTEXT_RESULT, _USER_INFORMATION, _LENGTH_MAX_ITEM = 0x21, 0x50, 0x51
_SUCCESS, _PENDING = 0x0000, (0xFF00, 0xFF01)
_NO_DATA_SET = 0x0101


class AssociationRefused(Exception):
    """The association was not accepted, or it ended before the work was done."""


@dataclass(frozen=True)
class Context:
    """A SOP class and the one transfer syntax in which it is offered."""

    abstract_syntax: str
    transfer_syntax: str = ExplicitVRLittleEndian


class Association:
    """One association as requestor; a context manager that releases it.

    Raises:
        AssociationRefused: on entry, when the acceptor does not accept.
    """

    def __init__(
        self, address: tuple[str, int], *, calling: str, called: str, contexts: Sequence[Context]
    ) -> None:
        self._address, self._calling, self._called = address, calling, called
        self._contexts = {2 * place + 1: context for place, context in enumerate(contexts)}
        self._accepted: dict[int, Context] = {}
        self._send_max = _LENGTH_MAX
        self._message_id = 0
        self._pending = b""

    def __enter__(self) -> Self:
        try:
            self._socket = socket.create_connection(self._address, _TIMEOUT_S)
        except OSError as error:
            raise AssociationRefused(f"cannot connect: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send(_ASSOCIATE_RQ, self._request())
        kind, body = self._receive()
        if kind != _ASSOCIATE_AC:
            self._socket.close()
            raise AssociationRefused("rejected" if kind == _ASSOCIATE_RJ else "aborted")
        self._read_acceptance(body)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._send(_RELEASE_RQ, bytes(4))
                self._receive()
        except (OSError, AssociationRefused):
            return
        finally:
            self._socket.close()

    def echo(self) -> None:
        """Verify the connection.

        Standard: PS3.7 9.1.5
        """
        context = self._context(VERIFICATION)
        self._command(context, {"AffectedSOPClassUID": VERIFICATION, "CommandField": 0x0030}, None)
        self._response()

    def find(self, identifier: Dataset, model: str = WORKLIST_FIND) -> Iterator[Dataset]:
        """What matches: worklist items, or studies of another information model.

        Standard: PS3.4 K.4.1, C.4.1
        """
        context = self._context(model)
        command = {"AffectedSOPClassUID": model, "CommandField": 0x0020, "Priority": 0}
        syntax = self._accepted[context].transfer_syntax
        self._command(context, command, _encoded(identifier, syntax))
        while True:
            status, data = self._response()
            if status not in _PENDING or data is None:
                return
            yield _decoded(data, syntax)

    def store(self, image: Dataset) -> None:
        """Store one object; raises ``AssociationRefused`` unless it was taken.

        Standard: PS3.4 B.2
        """
        context = self._context(str(image.SOPClassUID), str(image.file_meta.TransferSyntaxUID))
        command = {
            "AffectedSOPClassUID": str(image.SOPClassUID),
            "AffectedSOPInstanceUID": str(image.SOPInstanceUID),
            "CommandField": 0x0001,
            "Priority": 0,
        }
        body = _encoded(image, str(image.file_meta.TransferSyntaxUID))
        self._command(context, command, body)
        status, _ = self._response()
        if status != _SUCCESS:
            raise AssociationRefused(f"the object was refused with status {status:04x}")

    def create_step(self, uid: str, attributes: Dataset) -> None:
        """Say that a performed procedure step begins; raises as ``store``.

        Standard: PS3.4 F.7.2.1
        """
        named = {"AffectedSOPClassUID": PERFORMED_STEP, "AffectedSOPInstanceUID": uid}
        self._tell(named | {"CommandField": 0x0140}, attributes)

    def set_step(self, uid: str, attributes: Dataset) -> None:
        """Say what became of a performed procedure step; raises as ``store``.

        Standard: PS3.4 F.7.2.2
        """
        named = {"RequestedSOPClassUID": PERFORMED_STEP, "RequestedSOPInstanceUID": uid}
        self._tell(named | {"CommandField": 0x0120}, attributes)

    def commit(self, request: Dataset) -> Dataset:
        """What became of a request for storage commitment, told on this association.

        Standard: PS3.4 J.3.2, J.3.3
        """
        context = self._context(STORAGE_COMMITMENT)
        syntax = self._accepted[context].transfer_syntax
        command = {
            "RequestedSOPClassUID": STORAGE_COMMITMENT,
            "CommandField": 0x0130,
            "RequestedSOPInstanceUID": _COMMITMENT_INSTANCE,
            "ActionTypeID": 1,
        }
        self._command(context, command, _encoded(request, syntax))
        status, _ = self._response()
        if status != _SUCCESS:
            raise AssociationRefused(f"the request was refused with status {status:04x}")
        report = _decoded(self._message(), ImplicitVRLittleEndian)
        told = _decoded(self._message(), syntax)
        answer = {
            "AffectedSOPClassUID": STORAGE_COMMITMENT,
            "CommandField": 0x8100,
            "MessageIDBeingRespondedTo": int(report.MessageID),
            "Status": _SUCCESS,
        }
        self._command(context, answer, None)
        return told

    def _tell(self, command: Mapping[str, str | int], attributes: Dataset) -> None:
        context = self._context(PERFORMED_STEP)
        syntax = self._accepted[context].transfer_syntax
        self._command(context, command, _encoded(attributes, syntax))
        status, _ = self._response()
        if status != _SUCCESS:
            raise AssociationRefused(f"the step was refused with status {status:04x}")

    def _context(self, abstract_syntax: str, transfer_syntax: str | None = None) -> int:
        for number, context in self._accepted.items():
            fits = transfer_syntax in {None, context.transfer_syntax}
            if context.abstract_syntax == abstract_syntax and fits:
                return number
        raise AssociationRefused(f"no context was accepted for {abstract_syntax}")

    def _request(self) -> bytes:
        """The body of an A-ASSOCIATE-RQ.

        Standard: PS3.8 9.3.2
        """
        titles = self._called.encode().ljust(16) + self._calling.encode().ljust(16)
        items = _item(0x10, _APPLICATION_CONTEXT.encode())
        for number, context in self._contexts.items():
            syntaxes = _item(0x30, context.abstract_syntax.encode())
            syntaxes += _item(0x40, context.transfer_syntax.encode())
            items += _item(0x20, bytes((number, 0, 0, 0)) + syntaxes)
        user = _item(_LENGTH_MAX_ITEM, struct.pack(">L", _LENGTH_MAX)) + _item(
            0x52, _IMPLEMENTATION.encode()
        )
        return (
            struct.pack(">HH", 1, 0) + titles + bytes(32) + items + _item(_USER_INFORMATION, user)
        )

    def _read_acceptance(self, body: bytes) -> None:
        for kind, item in _items(body[68:]):
            if kind == _CONTEXT_RESULT and item[2] == 0:
                self._accepted[item[0]] = self._contexts[item[0]]
            elif kind == _USER_INFORMATION:
                for sub_kind, value in _items(item):
                    if sub_kind == _LENGTH_MAX_ITEM:
                        self._send_max = struct.unpack(">L", value)[0] or _LENGTH_MAX

    def _command(self, context: int, fields: Mapping[str, str | int], data: bytes | None) -> None:
        command = Dataset()
        for keyword, value in fields.items():
            setattr(command, keyword, value)
        if "MessageIDBeingRespondedTo" not in command:
            self._message_id += 1
            command.MessageID = self._message_id
        command.CommandDataSetType = _NO_DATA_SET if data is None else 0x0001
        length = len(_encoded(command, ImplicitVRLittleEndian))
        command.CommandGroupLength = length
        self._fragments(context, 1, _encoded(command, ImplicitVRLittleEndian))
        if data is not None:
            self._fragments(context, 0, data)

    def _fragments(self, context: int, is_command: int, message: bytes) -> None:
        room = min(self._send_max, _LENGTH_MAX) - 6
        for start in range(0, len(message), room):
            part = message[start : start + room]
            last = 2 if start + room >= len(message) else 0
            self._send(_DATA, struct.pack(">LBB", len(part) + 2, context, is_command | last) + part)

    def _response(self) -> tuple[int, bytes | None]:
        command = _decoded(self._message(), ImplicitVRLittleEndian)
        data = None if command.CommandDataSetType == _NO_DATA_SET else self._message()
        return int(command.Status), data

    def _message(self) -> bytes:
        """The next command or data set, put together from its fragments."""
        whole = BytesIO()
        while True:
            while len(self._pending) > 0:
                length, _, control = struct.unpack(">LBB", self._pending[:6])
                whole.write(self._pending[6 : 4 + length])
                self._pending = self._pending[4 + length :]
                if control & 2:
                    return whole.getvalue()
            kind, body = self._receive()
            if kind != _DATA:
                raise AssociationRefused("the association ended")
            self._pending = body

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(struct.pack(">BBL", kind, 0, len(body)) + body)

    def _receive(self) -> tuple[int, bytes]:
        header = self._exactly(6)
        kind, _, length = struct.unpack(">BBL", header)
        return kind, self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            try:
                part = self._socket.recv(size - len(received))
            except OSError as error:
                raise AssociationRefused("the connection failed") from error
            if not part:
                raise AssociationRefused("the connection was closed")
            received += part
        return bytes(received)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(data):
        kind, _, length = struct.unpack(">BBH", data[place : place + 4])
        yield kind, data[place + 4 : place + 4 + length]
        place += 4 + length


def _encoded(dataset: Dataset, transfer_syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = transfer_syntax == ImplicitVRLittleEndian
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def _decoded(data: bytes, transfer_syntax: str) -> Dataset:
    return read_dataset(BytesIO(data), transfer_syntax == ImplicitVRLittleEndian, True)
