"""The Native DICOM Model in XML: the DICOM JSON model as XML and back.

Both models hold the same: what ``json_model`` says of values, bulk data and character sets holds
here. Documents with a document type are refused, so that no entity is ever expanded. Characters
that XML cannot hold are replaced.

Standard: PS3.19 A.1, PS3.18 F.4 (correspondence of both models)
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import dictionary
from isocenter.standards.dicom.json_model import JsonObject
from isocenter.standards.dicom.part10_elements import DEPTH_MAX
from isocenter.standards.dicom.values import decimal_string
from isocenter.standards.dicom.values_model import NameComponents, name_components

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = {
    "FamilyName": "family",
    "GivenName": "given",
    "MiddleName": "middle",
    "NamePrefix": "prefix",
    "NameSuffix": "suffix",
}
# XML 1.0 2.2: every character but these may stand in a document.
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_WHOLE_MAX: Final = 1e15
_FIRST_BLOCK: Final = 0x10
_LAST_BLOCK: Final = 0xFF
_LEAVES: Final = frozenset({"Value", "InlineBinary", *_COMPONENTS})


def to_xml(model: Mapping[str, Any]) -> bytes:
    """The document of a DICOM JSON object, in UTF-8.

    Standard: PS3.19 A.1.5
    """
    body = "".join(_attributes(model))
    return f'{_HEAD}<NativeDicomModel xml:space="preserve">{body}</NativeDicomModel>\n'.encode()


def _attributes(model: Mapping[str, Any]) -> Iterator[str]:
    for key, fields in model.items():
        tag = int(key, 16)
        creator = _creator(tag, model)
        # PS3.19 A.1.5: which block a private element stands in is said by its creator alone.
        named = f"{key[:4]}00{key[6:]}" if creator else key
        head = f'<DicomAttribute tag="{named}" vr="{fields["vr"]}"'
        keyword = dictionary.keyword_of(tag)
        if keyword:
            head += f' keyword="{keyword}"'
        if creator:
            head += f" privateCreator={quoteattr(_clean(creator))}"
        content = "".join(_content(str(fields["vr"]), fields))
        yield f"{head}>{content}</DicomAttribute>" if content else f"{head}/>"


def _creator(tag: int, model: Mapping[str, Any]) -> str:
    """Who reserved the block of a private element; "" for elements that are not in one.

    Standard: PS3.5 7.8.1
    """
    if not dictionary.is_private(tag) or dictionary.is_private_creator(tag):
        return ""
    fields = model.get(f"{tag >> 16:04X}{tag >> 8 & 0xFF:04X}")
    values = fields.get("Value") if fields else None
    return str(values[0] or "") if values else ""


def _content(vr: str, fields: Mapping[str, Any]) -> Iterator[str]:
    if "BulkDataURI" in fields:
        yield f"<BulkData uri={quoteattr(_clean(str(fields['BulkDataURI'])))}/>"
    elif "InlineBinary" in fields:
        yield f"<InlineBinary>{fields['InlineBinary']}</InlineBinary>"
    for number, value in enumerate(fields.get("Value", ()), start=1):
        if vr == "SQ":
            yield f'<Item number="{number}">{"".join(_attributes(value or {}))}</Item>'
        elif vr == "PN":
            yield f'<PersonName number="{number}">{_name(value or {})}</PersonName>'
        else:
            # An empty value among several keeps the others in their places.
            yield f'<Value number="{number}">{_text(vr, value)}</Value>'


def _text(vr: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _WHOLE_MAX:
            return str(int(value))
        return decimal_string(value) if vr == "DS" else repr(value)
    return escape(_clean(str(value)), {"\r": "&#13;"})


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def _name(groups: Mapping[str, str]) -> str:
    made: list[str] = []
    for group in _GROUPS:
        if group not in groups:
            continue
        components = name_components(groups[group])
        inner = "".join(
            f"<{element}>{escape(_clean(getattr(components, field)))}</{element}>"
            for element, field in _COMPONENTS.items()
            if getattr(components, field)
        )
        made.append(f"<{group}>{inner}</{group}>")
    return "".join(made)


def from_xml(document: bytes) -> JsonObject:
    """The DICOM JSON object of a document; values are text where JSON would have numbers.

    Raises:
        RemoteProtocolError: this is no XML, has a document type, or is no Native DICOM Model.

    Standard: PS3.19 A.1.5
    """
    return _Reader().read(document)


class _Reader:
    """Builds the object while the parser goes through the document."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._root: JsonObject = {}
        self._objects: list[JsonObject] = [self._root]
        self._attributes: list[dict[str, Any]] = []
        self._names: list[dict[str, dict[str, str]]] = []
        self._path: list[str] = []
        self._text: list[str] = []

    def read(self, document: bytes) -> JsonObject:
        try:
            self._parser.Parse(document, True)
        except expat.ExpatError as error:
            raise RemoteProtocolError(f"the document is no XML: {error}") from error
        return self._root

    def _refuse_doctype(self, *_: object) -> None:
        raise RemoteProtocolError("a document type is not taken")

    def _characters(self, text: str) -> None:
        if self._path and self._path[-1] in _LEAVES:
            self._text.append(text)

    def _start(self, name: str, given: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if not self._path and local != "NativeDicomModel":
            raise RemoteProtocolError(f"{local[:64]!r} is no Native DICOM Model")
        self._path.append(local)
        self._text = []
        if local == "DicomAttribute":
            self._begin_attribute(given)
        elif local in {"Item", "Value", "PersonName", "BulkData", "InlineBinary", *_GROUPS}:
            if not self._attributes:
                raise RemoteProtocolError(f"{local} stands outside an attribute")
            self._begin_value(local, given)

    def _begin_attribute(self, given: Mapping[str, str]) -> None:
        if len(self._objects) > DEPTH_MAX:
            raise RemoteProtocolError(f"sequences nest deeper than {DEPTH_MAX}")
        tag, vr = given.get("tag", ""), given.get("vr", "")
        if not re.fullmatch(r"[0-9A-Fa-f]{8}", tag):
            raise RemoteProtocolError(f"{tag[:64]!r} is no tag")
        attribute: dict[str, Any] = {"vr": vr or dictionary.vr_of(int(tag, 16))}
        key = _in_block(tag.upper(), given.get("privateCreator", ""), self._objects[-1])
        self._objects[-1][key] = attribute
        self._attributes.append(attribute)

    def _begin_value(self, local: str, given: Mapping[str, str]) -> None:
        match local:
            case "Item":
                item: JsonObject = {}
                self._values().append(item)
                self._objects.append(item)
            case "PersonName":
                self._names.append({})
            case "BulkData":
                self._attributes[-1]["BulkDataURI"] = given.get("uri") or given.get("uuid", "")
            case _ if local in _GROUPS and self._names:
                self._names[-1][local] = {}
            case _:
                pass

    def _end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        self._path.pop()
        match local:
            case "DicomAttribute":
                self._attributes.pop()
            case "Item":
                self._objects.pop()
            case "Value":
                self._values().append("".join(self._text) or None)
            case "InlineBinary":
                self._attributes[-1]["InlineBinary"] = "".join("".join(self._text).split())
            case "PersonName":
                groups = {key: _joined(parts) for key, parts in self._names.pop().items()}
                self._values().append({key: text for key, text in groups.items() if text} or None)
            case _ if local in _COMPONENTS and self._names and self._path[-1] in self._names[-1]:
                self._names[-1][self._path[-1]][_COMPONENTS[local]] = "".join(self._text)
            case _:
                pass
        self._text = []

    def _values(self) -> list[Any]:
        return cast("list[Any]", self._attributes[-1].setdefault("Value", []))


def _in_block(key: str, creator: str, model: JsonObject) -> str:
    """The tag of a private element in the block of its creator, which is reserved if need be.

    Raises:
        RemoteProtocolError: every block of the group is reserved for others.

    Standard: PS3.5 7.8.1, PS3.19 A.1.5
    """
    if not creator or key[4:6] != "00":
        return key
    for block in range(_FIRST_BLOCK, _LAST_BLOCK + 1):
        owner = model.setdefault(f"{key[:4]}00{block:02X}", {"vr": "LO", "Value": [creator]})
        if owner.get("Value") == [creator]:
            return f"{key[:4]}{block:02X}{key[6:]}"
    raise RemoteProtocolError(f"group {key[:4]} has no block left")


def _joined(components: Mapping[str, str]) -> str:
    return "^".join(components.get(field, "") for field in NameComponents._fields).rstrip("^")
