"""What two messages say differently, field by field.

Segments are paired by their name and their turn among those of that name: the second OBX with the
second OBX. Fields that differ only in how they are escaped are the same.
"""

from dataclasses import dataclass

from isocenter.standards.hl7v2.er7 import Message, Segment


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field that two messages have differently.

    Attributes:
        place: as ``PID-5``, or ``OBX[2]-5`` from the second segment of a name on; without a field
            for a segment that only one of them has.
        before: the field as it stands in the first message, its escapes kept; '' when it has none.
    """

    place: str
    before: str
    after: str


def differences(before: Message, after: Message) -> list[FieldDifference]:
    """The fields that differ, in the order of the first message, then those of the second alone."""
    old, new = _by_place(before), _by_place(after)
    found: list[FieldDifference] = []
    for place, segment in old.items():
        other = new.get(place)
        if other is None:
            found.append(FieldDifference(place, segment.raw, ""))
        else:
            found += _of_segment(place, segment, other)
    found += [
        FieldDifference(place, "", each.raw) for place, each in new.items() if place not in old
    ]
    return found


def _by_place(message: Message) -> dict[str, Segment]:
    counts: dict[str, int] = {}
    places: dict[str, Segment] = {}
    for segment in message.segments:
        turn = counts[segment.name] = counts.get(segment.name, 0) + 1
        places[segment.name if turn == 1 else f"{segment.name}[{turn}]"] = segment
    return places


def _of_segment(place: str, old: Segment, new: Segment) -> list[FieldDifference]:
    count = max(old.field_count(), new.field_count())
    found: list[FieldDifference] = []
    for number in range(1, count + 1):
        before, after = old.raw_field(number), new.raw_field(number)
        if before != after and _values(old, number) != _values(new, number):
            found.append(FieldDifference(f"{place}-{number}", before, after))
    return found


def _values(segment: Segment, number: int) -> list[list[str | None]]:
    """Every value of a field, unescaped, without empty components at the end."""
    if number <= 2 and segment.name == "MSH":
        return [[segment.raw_field(number)]]
    rows: list[list[str | None]] = []
    for field in segment.fields(number):
        row = [
            field.get(component, part)
            for component, raw in enumerate(field.components(), 1)
            for part in range(1, raw.count(segment.syntax.subcomponent or "\0") + 2)
        ]
        while row and row[-1] is None:
            row.pop()
        rows.append(row)
    return rows
