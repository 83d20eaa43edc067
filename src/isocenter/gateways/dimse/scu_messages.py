"""What a peer says, put together from what arrives, within a limit.

Of a data set beyond the limit nothing is kept but the fact, so that the message can be refused and
the association goes on.

Standard: PS3.7 6.3.1, PS3.8 Annex E
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicom.dimse.fragments import CommandReceived, MessageReader
from isocenter.standards.dicom.dimse.messages import Command
from isocenter.standards.dicom.ul.pdu import PresentationDataValue

_DATA_SET_BYTES_MAX: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Said:
    """One message; ``data`` is empty when it has none or is ``too_large``."""

    command: Command
    context_id: int
    data: bytes
    too_large: bool


class Messages:
    """Puts the messages of one association together.

    Attributes:
        data_set_bytes_max: the largest data set that is kept.
    """

    def __init__(self) -> None:
        self.data_set_bytes_max = _DATA_SET_BYTES_MAX
        self._reader = MessageReader()
        self._command: CommandReceived | None = None
        self._data = bytearray()
        self._size_bytes = 0

    def receive(self, values: Sequence[PresentationDataValue]) -> Iterator[Said]:
        """The messages that end with these values. Raises ``RemoteProtocolError``."""
        for part in self._reader.receive(values):
            if isinstance(part, CommandReceived):
                self._command = part
                if part.command.has_data_set:
                    continue
            else:
                self._take(part.data)
                if not part.is_last:
                    continue
            if self._command is not None:
                too_large = self._size_bytes > self.data_set_bytes_max
                yield Said(
                    self._command.command, self._command.context_id, bytes(self._data), too_large
                )
            self._data.clear()
            self._size_bytes = 0

    def _take(self, piece: bytes | memoryview) -> None:
        self._size_bytes += len(piece)
        if self._size_bytes > self.data_set_bytes_max:
            self._data.clear()
        else:
            self._data += piece
