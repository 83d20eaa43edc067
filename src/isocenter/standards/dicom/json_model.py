"""The DICOM JSON model: data sets to JSON objects and back.

Small binary values are inlined, large ones become BulkDataURI by the caller's function. File meta
information and group lengths are left out, as the model says, and Specific Character Set reads
ISO_IR 192, since JSON is UTF-8. Writing JSON text is left to whoever sends it.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import character_sets, dictionary
from isocenter.standards.dicom.part10 import scan_header
from isocenter.standards.dicom.part10_elements import DEPTH_MAX, Buffer
from isocenter.standards.dicom.text_reading import AS_DECLARED, TextReading
from isocenter.standards.dicom.values import decimal_string, decode_dataset
from isocenter.standards.dicom.values_model import (
    SPECIFIC_CHARACTER_SET,
    DataSet,
    Element,
    name_groups,
)

# JSON objects of the model: tag in hexadecimal to {"vr": …, "Value": […]}.
JsonObject = dict[str, Any]
# Gives the URI of a large value from its path: tags and, between them, item numbers from 0.
BulkDataUri = Callable[[tuple[int, ...]], str]

INLINE_BYTES_MAX: Final = 1024
# Overlays and lookup tables are needed to show the first image: fetching each would delay it.
INLINE_IMAGE_BYTES_MAX: Final = 1 << 16

_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_SAFE_INTEGER_MAX: Final = (1 << 53) - 1
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_INTEGERS: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def header_to_json(
    data: Buffer,
    *,
    transfer_syntax_uid: str,
    start: int = 0,
    bulk_data_uri: BulkDataUri | None = None,
    reading: TextReading = AS_DECLARED,
) -> JsonObject:
    """The JSON model of an encoded data set; pixel data as BulkDataURI, or left out without one.

    Args:
        data: a file or data set; the value of the pixel data need not be in it.
        transfer_syntax_uid: how the data set is encoded.
        start: where the data set begins in ``data``.
        bulk_data_uri: where large values can be had.
        reading: how its text is read.

    Raises:
        RemoteProtocolError: the data set breaks the encoding rules.

    Standard: PS3.18 F
    """
    dataset = decode_dataset(data, transfer_syntax_uid, start=start, reading=reading)
    model = to_json(dataset, bulk_data_uri=bulk_data_uri)
    if bulk_data_uri is not None:
        scan = scan_header(data, (), transfer_syntax_uid=transfer_syntax_uid, start=start)
        if scan.pixel_data is not None:
            tag = scan.pixel_data.tag
            model[f"{tag:08X}"] = {"vr": scan.pixel_data.vr, "BulkDataURI": bulk_data_uri((tag,))}
    return model


def to_json(dataset: DataSet, *, bulk_data_uri: BulkDataUri | None = None) -> JsonObject:
    """The JSON model of ``dataset``, in ascending order of tags.

    Args:
        dataset: its values.
        bulk_data_uri: where large values can be had; None puts all of them inline.

    Standard: PS3.18 F.2
    """
    return _object(dataset, bulk_data_uri, ())


def _object(
    dataset: DataSet, bulk_data_uri: BulkDataUri | None, path: tuple[int, ...]
) -> JsonObject:
    return {
        f"{tag:08X}": _attribute(tag, element, bulk_data_uri, (*path, tag))
        for tag, element in sorted(dataset.items())
        if tag >> 16 != 0x0002 and tag & 0xFFFF
    }


def _attribute(
    tag: int, element: Element, bulk_data_uri: BulkDataUri | None, path: tuple[int, ...]
) -> JsonObject:
    vr, values = element.vr, element.values
    if not values:
        # PS3.18 F.2.5: an empty attribute has no Value.
        return {"vr": vr}
    if vr in _BINARY:
        return _binary(tag, element, bulk_data_uri, path)
    if vr == "SQ":
        items = [
            _object(item, bulk_data_uri, (*path, number))
            for number, item in enumerate(values)
            if isinstance(item, DataSet)
        ]
        return {"vr": vr, "Value": items}
    if tag == SPECIFIC_CHARACTER_SET:
        return {"vr": vr, "Value": [character_sets.UTF_8]}
    return {"vr": vr, "Value": [_value(vr, value) for value in values]}


def _binary(
    tag: int, element: Element, bulk_data_uri: BulkDataUri | None, path: tuple[int, ...]
) -> JsonObject:
    data = b"".join(value for value in element.values if isinstance(value, bytes))
    of_image = tag >> 16 == 0x0028 or (tag >> 24 == 0x60 and not tag >> 16 & 1)
    inline_max = INLINE_IMAGE_BYTES_MAX if of_image else INLINE_BYTES_MAX
    if bulk_data_uri is not None and (len(data) > inline_max or element.encapsulated):
        return {"vr": element.vr, "BulkDataURI": bulk_data_uri(path)}
    if not data:
        return {"vr": element.vr}
    return {"vr": element.vr, "InlineBinary": base64.b64encode(data).decode("ascii")}


def _value(vr: str, value: str | int | float | bytes | DataSet) -> object:
    """One value in the JSON type that the model gives its VR.

    Standard: PS3.18 Table F.2.3-1
    """
    if isinstance(value, str):
        if vr == "PN":
            return _name(value)
        if vr in {"IS", "DS"}:
            return _decimal(vr, value)
        return value or None
    if isinstance(value, int):
        if vr == "AT":
            return f"{value:08X}"
        return value if abs(value) <= _SAFE_INTEGER_MAX else str(value)
    if isinstance(value, float):
        return _finite(value)
    return None


def _decimal(vr: str, text: str) -> object:
    """A number where the text is one, else the text: PS3.18 allows both for IS and DS."""
    if not text:
        return None
    try:
        if vr == "IS":
            number = int(text)
            return number if abs(number) <= _SAFE_INTEGER_MAX else text
        decimal = float(text)
    except ValueError:
        return text
    return decimal if math.isfinite(decimal) else text


def _finite(value: float) -> float | str:
    """JSON has no word for these; strings keep them apart from each other."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _name(value: str) -> dict[str, str] | None:
    groups = {key: group for key, group in zip(_GROUPS, name_groups(value), strict=True) if group}
    return groups or None


def from_json(
    model: Mapping[str, Any], *, bulk_data: Callable[[str], bytes] | None = None
) -> DataSet:
    """The data set that a JSON model describes.

    Specific Character Set becomes ISO_IR 192 when any text needs it.

    Args:
        model: the parsed JSON object.
        bulk_data: gives the bytes of a BulkDataURI; None refuses such values.

    Raises:
        RemoteProtocolError: the object does not follow the model.

    Standard: PS3.18 F.2
    """
    dataset = _dataset(model, bulk_data, 0)
    if not all(text.isascii() for text in dataset.all_texts()):
        dataset.put(SPECIFIC_CHARACTER_SET, character_sets.UTF_8)
    return dataset.sorted()


def _dataset(
    model: Mapping[str, Any], bulk_data: Callable[[str], bytes] | None, depth: int
) -> DataSet:
    if depth > DEPTH_MAX:
        raise RemoteProtocolError(f"sequences nest deeper than {DEPTH_MAX}")
    dataset = DataSet()
    for key, attribute in model.items():
        tag = _tag(key)
        if not isinstance(attribute, dict):
            raise RemoteProtocolError(f"attribute {key} is no JSON object")
        fields = cast("dict[str, Any]", attribute)
        vr = str(fields.get("vr") or dictionary.vr_of(tag))
        dataset[tag] = Element(vr, _values(key, vr, fields, bulk_data, depth))
    return dataset


def _tag(key: str) -> int:
    try:
        if len(key) == 8:
            return int(key, 16)
        return dictionary.tag_of(key)
    except (KeyError, ValueError) as error:
        raise RemoteProtocolError(f"{key[:64]!r} names no attribute") from error


def _values(
    key: str,
    vr: str,
    fields: Mapping[str, Any],
    bulk_data: Callable[[str], bytes] | None,
    depth: int,
) -> tuple[str | int | float | bytes | DataSet, ...]:
    if "InlineBinary" in fields:
        try:
            return (base64.b64decode(str(fields["InlineBinary"]), validate=True),)
        except binascii.Error as error:
            raise RemoteProtocolError(f"attribute {key} is no base64") from error
    if "BulkDataURI" in fields:
        if bulk_data is None:
            raise RemoteProtocolError(f"attribute {key} is bulk data, which is not taken here")
        return (bulk_data(str(fields["BulkDataURI"])),)
    value: object = fields.get("Value")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RemoteProtocolError(f"the Value of attribute {key} is no array")
    return _from_array(key, vr, cast("Sequence[object]", value), bulk_data, depth)


def _from_array(
    key: str,
    vr: str,
    array: Sequence[object],
    bulk_data: Callable[[str], bytes] | None,
    depth: int,
) -> tuple[str | int | float | bytes | DataSet, ...]:
    if vr == "SQ":
        return tuple(
            _dataset(cast("dict[str, Any]", item), bulk_data, depth + 1)
            for item in array
            if isinstance(item, dict)
        )
    if vr in _BINARY:
        raise RemoteProtocolError(f"attribute {key} of VR {vr} has a Value array")
    try:
        return tuple(_from_value(vr, value) for value in array)
    except (TypeError, ValueError, OverflowError) as error:
        raise RemoteProtocolError(f"a value of attribute {key} is no {vr}") from error


def _from_value(vr: str, value: object) -> str | int | float:
    if value is None:
        value = 0 if vr in _INTEGERS or vr in {"FL", "FD", "AT"} else ""
    if vr == "PN" and isinstance(value, dict):
        groups = cast("dict[str, object]", value)
        return "=".join(str(groups.get(name) or "") for name in _GROUPS).rstrip("=")
    if isinstance(value, dict | list):
        raise TypeError("a scalar is expected")
    if vr == "AT":
        return int(str(value), 16)
    if vr in _INTEGERS:
        return int(str(value))
    if vr in {"FL", "FD"}:
        return (
            _NOT_FINITE[value]
            if isinstance(value, str) and value in _NOT_FINITE
            else float(str(value))
        )
    if vr == "DS" and isinstance(value, float):
        return decimal_string(value)
    if vr == "IS" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
