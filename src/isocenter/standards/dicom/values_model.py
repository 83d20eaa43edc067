"""A data set as values: elements by tag, sequences as tuples of data sets, person names.

Small on purpose: this serves identifiers, worklist answers and headers. IS and DS stay the text
they were sent as, so that nothing is lost on the way through; accessors give numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom import character_sets, dictionary

SPECIFIC_CHARACTER_SET: Final = 0x00080005


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its VR and its values, none when it is empty.

    By VR, a value is an int (US SS UL SL UV SV, AT as a tag), a float (FL FD), bytes in little
    endian order (OB OD OF OL OV OW UN; one value), a DataSet (SQ: one per item) or a str (others).

    Attributes:
        encapsulated: the one value is compressed fragments with their item headers.
    """

    vr: str
    values: "tuple[str | int | float | bytes | DataSet, ...]" = ()
    encapsulated: bool = False


class DataSet(dict[int, Element]):
    """Elements by tag. Iteration follows insertion; encoders sort."""

    __slots__ = ()

    def put(
        self, tag: int | str, *values: "str | int | float | bytes | DataSet", vr: str = ""
    ) -> None:
        """Set an element by tag or keyword, with the dictionary's VR unless ``vr`` is given.

        Raises:
            LocalProtocolError: the keyword is unknown.
        """
        if isinstance(tag, str):
            try:
                tag = dictionary.tag_of(tag)
            except KeyError as error:
                raise LocalProtocolError(f"unknown keyword {tag}") from error
        self[tag] = Element(vr or dictionary.vr_of(tag), values)

    def texts(self, tag: int) -> tuple[str, ...]:
        """Every value of ``tag`` as text; empty when it is absent or empty."""
        found = self.get(tag)
        if found is None:
            return ()
        return tuple(str(v) for v in found.values if isinstance(v, str | int | float))

    def text(self, tag: int) -> str:
        """The first value of ``tag`` as text; "" when it is absent or empty."""
        values = self.texts(tag)
        return values[0] if values else ""

    def number(self, tag: int) -> int | None:
        """The first value of ``tag`` as a whole number; None when there is none."""
        number = self.decimal(tag)
        return int(number) if number is not None and number == number // 1 else None

    def decimal(self, tag: int) -> float | None:
        """The first value of ``tag`` as a number; None when there is none."""
        decimals = self.decimals(tag)
        return decimals[0] if decimals else None

    def decimals(self, tag: int) -> tuple[float, ...]:
        """Every value of ``tag`` as a number; empty when one of them is none."""
        try:
            return tuple(float(text) for text in self.texts(tag))
        except ValueError:
            return ()

    def octets(self, tag: int) -> bytes:
        """The bytes of ``tag``; empty when it is absent or holds no bytes."""
        found = self.get(tag)
        value = found.values[0] if found and found.values else b""
        return value if isinstance(value, bytes) else b""

    def sequence(self, tag: int) -> "tuple[DataSet, ...]":
        """The items of ``tag``; empty when it is absent, empty or no sequence."""
        found = self.get(tag)
        return tuple(v for v in found.values if isinstance(v, DataSet)) if found else ()

    def item(self, tag: int) -> "DataSet":
        """The first item of ``tag``, or an empty data set."""
        items = self.sequence(tag)
        return items[0] if items else DataSet()

    @property
    def specific_character_set(self) -> tuple[str, ...]:
        """The defined terms of this data set; empty for ASCII.

        Standard: PS3.3 C.12.1.1.2
        """
        return character_sets.terms("\\".join(self.texts(SPECIFIC_CHARACTER_SET)))

    def all_texts(self) -> Iterator[str]:
        """Every text whose encoding depends on the character set, nested ones included."""
        for element in self.values():
            for value in element.values:
                if isinstance(value, DataSet):
                    yield from value.all_texts()
                elif isinstance(value, str) and element.vr in character_sets.TEXT_VRS:
                    yield value

    def sorted(self) -> "DataSet":
        """The same elements in ascending order of their tags."""
        return DataSet(sorted(self.items()))


class NameComponents(NamedTuple):
    """The five components of one component group.

    Standard: PS3.5 6.2.1.1
    """

    family: str = ""
    given: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""


class NameGroups(NamedTuple):
    """The three component groups of a person name, each as it is encoded, "" when absent.

    Standard: PS3.5 6.2.1.2
    """

    alphabetic: str = ""
    ideographic: str = ""
    phonetic: str = ""


def name_groups(value: str) -> NameGroups:
    """The component groups of a PN value; what follows a third = is dropped.

    Standard: PS3.5 6.2.1.2
    """
    return NameGroups(*(group.rstrip("^ ").lstrip() for group in value.split("=")[:3]))


def name_components(group: str) -> NameComponents:
    """The components of one group; what follows a fifth ^ is dropped.

    Standard: PS3.5 6.2.1.1
    """
    return NameComponents(*(part.strip() for part in group.split("^")[:5]))
