"""Messages as fragments: presentation data values become commands and pieces of data sets.

A message is one command set and at most one data set, each in one or more fragments of one
presentation context; fragments of two messages never mix. Data set bytes are passed on as they
come, never collected.

Standard: PS3.7 6.3.1, PS3.8 Annex E
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.dimse.command_set import decode, encode
from isocenter.standards.dicom.dimse.messages import Command
from isocenter.standards.dicom.ul.connection import Connection
from isocenter.standards.dicom.ul.pdu import PresentationDataValue

# The longest command set has some tens of short elements; lists of tags are the only long ones.
COMMAND_LENGTH_BYTES_MAX: Final = 1 << 16


class UnexpectedFragment(RemoteProtocolError):
    """A fragment that cannot be at this place of a message."""


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A complete command set. Without data set the message is complete."""

    context_id: int
    command: Command


class DataFragment(NamedTuple):
    """The next piece of the data set of the last command.

    ``data`` is a view of the receive buffer; after ``is_last`` the message is complete.
    """

    context_id: int
    data: bytes | memoryview
    is_last: bool


MessageEvent = CommandReceived | DataFragment


class MessageReader:
    """Puts the fragments of one association together."""

    __slots__ = ("_command_bytes", "_context_id", "_in_data_set")

    def __init__(self) -> None:
        self._command_bytes = bytearray()
        self._context_id: int | None = None
        self._in_data_set = False

    @property
    def between_messages(self) -> bool:
        """True when no message is half received."""
        return self._context_id is None

    def receive(self, values: Iterable[PresentationDataValue]) -> Iterator[MessageEvent]:
        """What the fragments mean, one event after the other.

        Raises:
            RemoteProtocolError: a fragment is at the wrong place or a command set is malformed; the
                association cannot go on.
        """
        for value in values:
            if self._context_id is not None and value.context_id != self._context_id:
                raise UnexpectedFragment("a message in two presentation contexts")
            if value.is_command == self._in_data_set:
                kind = "command" if value.is_command else "data set"
                raise UnexpectedFragment(f"a {kind} fragment at the wrong place of a message")
            if self._in_data_set:
                if value.is_last:
                    self._context_id, self._in_data_set = None, False
                yield DataFragment(value.context_id, value.data, value.is_last)
                continue
            command = self._receive_command(value)
            if command is not None:
                yield CommandReceived(value.context_id, command)

    def _receive_command(self, value: PresentationDataValue) -> Command | None:
        if len(self._command_bytes) + len(value.data) > COMMAND_LENGTH_BYTES_MAX:
            raise UnexpectedFragment("a command set is too long")
        if not value.is_last:
            self._command_bytes += value.data
            self._context_id = value.context_id
            return None
        if self._command_bytes:
            self._command_bytes += value.data
            command = decode(bytes(self._command_bytes))
            self._command_bytes.clear()
        else:
            command = decode(value.data)
        self._in_data_set = command.has_data_set
        self._context_id = value.context_id if command.has_data_set else None
        return command


def send_message(
    connection: Connection,
    context_id: int,
    command: Command,
    data_set: bytes | memoryview | None = None,
) -> None:
    """Queues a whole message on ``connection``, cut to what the peer can take.

    ``command.has_data_set`` says whether data follow; large data sets are sent by the caller
    piece by piece through ``Connection.send_fragments``, with ``data_set`` left out here.
    """
    connection.send_fragments(context_id, encode(command), is_command=True)
    if data_set is not None:
        connection.send_fragments(context_id, data_set, is_command=False)
