"""Command sets to bytes and back.

A command set is always Implicit VR Little Endian, group 0000 in ascending order behind its group
length. Elements that are not known, or that the command does not have, are ignored when received.

Standard: PS3.7 6.3.1, Annex E; PS3.5 7.1.3
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from struct import Struct, iter_unpack
from struct import error as StructError  # noqa: N812  it is a class
from types import MappingProxyType
from typing import Any, Final

from isocenter.standards import LocalProtocolError, RemoteProtocolError
from isocenter.standards.dicom.dimse.messages import COMMANDS, Command

_ELEMENT = Struct("<HHI")
_TAG = Struct("<HH")
_U16 = Struct("<H")
_U32 = Struct("<I")
_COMMAND_FIELD: Final = 0x0100
_NO_DATA_SET: Final = 0x0101
# Any other value means that a data set follows; this is what peers send most.
_DATA_SET: Final = 0x0001
_ERROR_COMMENT_LENGTH_MAX: Final = 64
_EMPTY: Final[tuple[object, ...]] = ("", ())


class MalformedCommand(RemoteProtocolError):
    """A command set that cannot be understood."""


def _uid_to_bytes(value: str) -> bytes:
    data = value.encode("ascii")
    return data + b"\0" if len(data) % 2 else data


def _title_to_bytes(value: str) -> bytes:
    data = value.encode("latin-1")
    return data + b" " if len(data) % 2 else data


def _comment_to_bytes(value: str) -> bytes:
    # For people: what the default repertoire lacks becomes a question mark, backslash would split
    # it.
    line = "".join(c if c.isprintable() and c != "\\" else " " for c in value)
    data = line[:_ERROR_COMMENT_LENGTH_MAX].encode("ascii", "replace")
    return data + b" " if len(data) % 2 else data


def _tags_to_bytes(value: tuple[int, ...]) -> bytes:
    return b"".join(_TAG.pack(tag >> 16, tag & 0xFFFF) for tag in value)


def _data_set_type_to_bytes(value: bool) -> bytes:
    return _U16.pack(_DATA_SET if value else _NO_DATA_SET)


def _has_data_set(data: memoryview) -> bool:
    return _number_of(data) != _NO_DATA_SET


def _uid_of(data: memoryview) -> str:
    return str(data, "ascii").strip("\0 ")


def _text_of(data: memoryview) -> str:
    return str(data, "latin-1").strip("\0 ")


def _number_of(data: memoryview) -> int:
    return _U16.unpack(data)[0]


def _tags_of(data: memoryview) -> tuple[int, ...]:
    if len(data) % 4:
        raise MalformedCommand("a list of tags is not a multiple of 4 bytes long")
    return tuple(group << 16 | element for group, element in iter_unpack("<HH", data))


@dataclass(frozen=True, slots=True)
class _Kind:
    """How values of one VR become bytes and back."""

    encode: Callable[[Any], bytes]
    decode: Callable[[memoryview], Any]


_UI: Final = _Kind(_uid_to_bytes, _uid_of)
_US: Final = _Kind(_U16.pack, _number_of)
_AE: Final = _Kind(_title_to_bytes, _text_of)
_LO: Final = _Kind(_comment_to_bytes, _text_of)
_AT: Final = _Kind(_tags_to_bytes, _tags_of)

# Element numbers of group 0000 (PS3.7 Table E.1-1) in ascending order, which is the order sent.
_ELEMENTS: Final[Mapping[int, tuple[str, _Kind]]] = MappingProxyType({
    0x0002: ("affected_sop_class_uid", _UI),
    0x0003: ("requested_sop_class_uid", _UI),
    0x0100: ("command_field", _US),
    0x0110: ("message_id", _US),
    0x0120: ("message_id_being_responded_to", _US),
    0x0600: ("move_destination", _AE),
    0x0700: ("priority", _US),
    0x0800: ("has_data_set", _Kind(_data_set_type_to_bytes, _has_data_set)),
    0x0900: ("status", _US),
    0x0901: ("offending_element", _AT),
    0x0902: ("error_comment", _LO),
    0x0903: ("error_id", _US),
    0x1000: ("affected_sop_instance_uid", _UI),
    0x1001: ("requested_sop_instance_uid", _UI),
    0x1002: ("event_type_id", _US),
    0x1005: ("attribute_identifier_list", _AT),
    0x1008: ("action_type_id", _US),
    0x1020: ("number_of_remaining_suboperations", _US),
    0x1021: ("number_of_completed_suboperations", _US),
    0x1022: ("number_of_failed_suboperations", _US),
    0x1023: ("number_of_warning_suboperations", _US),
    0x1030: ("move_originator_ae_title", _AE),
    0x1031: ("move_originator_message_id", _US),
})


@dataclass(frozen=True, slots=True)
class _Layout:
    """One command: its class, its elements by number, and the fields that it cannot do without."""

    command: type[Command]
    elements: Mapping[int, tuple[str, Callable[[memoryview], Any]]]
    encoders: tuple[tuple[int, str, Callable[[Any], bytes]], ...]
    required: frozenset[str]


def _layout(command: type[Command]) -> _Layout:
    names = {field.name: field for field in fields(command)}
    elements = {
        number: (name, kind.decode) for number, (name, kind) in _ELEMENTS.items() if name in names
    }
    encoders = tuple(
        (number, name, kind.encode)
        for number, (name, kind) in _ELEMENTS.items()
        if hasattr(command, name) or name in names
    )
    required = {name for name, field in names.items() if field.default is MISSING}
    required.add("has_data_set")
    return _Layout(command, elements, encoders, frozenset(required))


_LAYOUTS: Final = MappingProxyType({c.command_field: _layout(c) for c in COMMANDS})


def encode(command: Command) -> bytes:
    """The bytes of a command set. Empty fields are left out.

    Raises:
        LocalProtocolError: a value does not fit its element.
    """
    parts: list[bytes] = []
    try:
        for number, name, to_bytes in _LAYOUTS[command.command_field].encoders:
            value = getattr(command, name)
            if value is not None and value not in _EMPTY:
                data = to_bytes(value)
                parts.append(_ELEMENT.pack(0, number, len(data)))
                parts.append(data)
    except (ValueError, TypeError, StructError) as problem:
        raise LocalProtocolError(f"{type(command).__name__}: {problem}") from problem
    body = b"".join(parts)
    return _ELEMENT.pack(0, 0, 4) + _U32.pack(len(body)) + body


def decode(data: bytes | bytearray | memoryview) -> Command:
    """The command that a complete command set holds.

    Tolerated, since meaning is unharmed: elements of other groups behind the end that the Command
    Group Length tells (Orthanc 1.10 puts the list of failed instances of a C-GET there).

    Raises:
        MalformedCommand: cut short, no known command, or without an element that it needs.
    """
    view = memoryview(data)
    elements = _split(view)
    try:
        layout = _LAYOUTS.get(_number_of(elements.get(_COMMAND_FIELD, view[:0])))
        if layout is None:
            raise MalformedCommand("no such command field")
        values: dict[str, Any] = {}
        known = layout.elements
        for number, raw in elements.items():
            if number in known and len(raw):
                name, convert = known[number]
                values[name] = convert(raw)
    except (ValueError, StructError) as problem:
        raise MalformedCommand(f"a command element has an impossible value: {problem}") from problem
    missing = layout.required - values.keys()
    if missing:
        raise MalformedCommand(f"{layout.command.__name__} without {', '.join(sorted(missing))}")
    return layout.command(**values)


def _ends_at(elements: Mapping[int, memoryview], at: int) -> bool:
    """Whether the group length, which comes first, says that the command set ends here."""
    length = elements.get(0)
    if length is None or len(length) != _U32.size:
        return False
    return bool(_ELEMENT.size + _U32.size + _U32.unpack(length)[0] == at)


def _split(view: memoryview) -> dict[int, memoryview]:
    elements: dict[int, memoryview] = {}
    at, end = 0, len(view)
    while at < end:
        if end - at < _ELEMENT.size:
            raise MalformedCommand("a command element is cut short")
        group, number, length = _ELEMENT.unpack_from(view, at)
        at += _ELEMENT.size
        if group != 0 and _ends_at(elements, at - _ELEMENT.size):
            return elements
        if group != 0 or length > end - at:
            raise MalformedCommand("a command element is of another group or too long")
        elements[number] = view[at : at + length]
        at += length
    return elements
