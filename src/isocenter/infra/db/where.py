"""Compiles the conditions of the matching algebra into SQL.

A search says which column holds which attribute; values travel as parameters, so the SQL is made of
constants only. Which conditions a search understands at all is its own business: it leaves out the
ones whose attribute it has no column for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal, LiteralString, TypeAlias

from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom.matching import (
    AnyOf,
    CombinedDateTimeRange,
    Condition,
    DateRange,
    DateTimeRange,
    EmptyValue,
    FuzzyName,
    ListOfUid,
    PersonName,
    SequenceMatch,
    SingleValue,
    TimeRange,
    Universal,
    Wildcard,
    phonetic_key,
    tags_of,
)

ColumnKind: TypeAlias = Literal[
    "text", "text_array", "number", "date", "time", "datetime", "person_name"
]
Clause: TypeAlias = tuple[LiteralString, list[Any]]


class UnmappedKey(IsocenterError):
    """A condition asks about an attribute that the search has no column for, or of no such kind."""

    kind: ClassVar[Kind] = Kind.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Column:
    """The SQL expression that holds an attribute.

    By kind: ``text`` is compared as it is, ``text_array`` by any of its elements, ``number`` by its
    value; ``person_name`` holds names as ``matching.person_name_key`` gives them. Null, an empty
    text and an empty array are an absent attribute.

    Attributes:
        phonetic: of a person name, the expression of its ``matching.phonetic_keys``, parted by
            single spaces; without it, names are not found by sound.
        terms: an indexed ``text[]`` of the values of an array, or of the value's trigrams (see
            ``terms``) and its phonetic keys.
        beginnings: whether an index finds whole values and their beginnings without ``terms``.
    """

    expression: LiteralString
    kind: ColumnKind = "text"
    phonetic: LiteralString | None = None
    terms: LiteralString | None = None
    beginnings: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence: where its items come from, and the columns of an item.

    Attributes:
        source: a ``from`` item, as ``jsonb_array_elements(step.codes) as code``; None when the row
            itself is the only item.
    """

    columns: "Columns"
    source: LiteralString | None = None


@dataclass(frozen=True, slots=True)
class SideValues:
    """An attribute whose values are rows of another table: any of them may match.

    Attributes:
        source: a ``from`` item with the condition that picks the rows, so that a further condition
            may follow behind ``and``.
        parameters: of ``source``.
        column: of a row.
    """

    source: LiteralString
    parameters: tuple[Any, ...]
    column: Column


Columns: TypeAlias = Mapping[int, Column | Items | SideValues]


def where(conditions: Iterable[Condition], columns: Columns) -> Clause:
    """An SQL condition with ``%s`` in it, and its parameters in their order.

    The clause is in brackets and holds for exactly the rows of which
    ``matching_reference.matches`` is true. Raises ``UnmappedKey``.
    """
    parts: list[LiteralString] = []
    parameters: list[Any] = []
    for condition in conditions:
        text, values = _compiled(condition, columns)
        parts.append(text)
        parameters += values
    if not parts:
        return "(true)", []
    return "(" + " and ".join(parts) + ")", parameters


def supported(conditions: Iterable[Condition], columns: Columns) -> tuple[Condition, ...]:
    """The conditions whose attributes have columns, those inside sequences included."""
    found: list[Condition] = []
    for condition in conditions:
        if isinstance(condition, SequenceMatch):
            items = columns.get(condition.tag)
            if isinstance(items, Items):
                inside = supported(condition.conditions, items.columns)
                if inside:
                    found.append(SequenceMatch(condition.tag, inside))
        elif _is_held(condition, columns):
            found.append(condition)
    return tuple(found)


def _is_held(condition: Condition, columns: Columns) -> bool:
    if isinstance(condition, CombinedDateTimeRange):
        kinds: tuple[type, ...] = (Column,)
    else:
        kinds = (Column, SideValues)
    return all(isinstance(columns.get(tag), kinds) for tag in tags_of([condition]))


def _compiled(condition: Condition, columns: Columns) -> Clause:
    if not isinstance(condition, CombinedDateTimeRange | AnyOf | Universal):
        side = columns.get(condition.tag)
        if isinstance(side, SideValues):
            return _beside(condition, side)
    return _in_columns(condition, columns)


def _in_columns(condition: Condition, columns: Columns) -> Clause:
    match condition:
        case Universal():
            return "true", []
        case AnyOf():
            return _any_of(condition, columns)
        case SequenceMatch():
            return _sequence(condition, columns)
        case CombinedDateTimeRange():
            return _combined(condition, columns)
        case EmptyValue():
            return _empty(condition, columns)
        case SingleValue() | Wildcard() | ListOfUid():
            return _text(condition, _column(condition.tag, columns))
        case DateRange() | TimeRange() | DateTimeRange():
            return _range(condition, _column(condition.tag, columns))
        case PersonName():
            return _name(condition, _column(condition.tag, columns, "person_name"))
        case FuzzyName():
            return _fuzzy(condition, _column(condition.tag, columns, "person_name"))


def _beside(condition: Condition, side: SideValues) -> Clause:
    picked: LiteralString = "exists (select from " + side.source
    if isinstance(condition, EmptyValue):
        return "not " + picked + ")", list(side.parameters)
    (tag,) = tags_of([condition])
    inside, values = _compiled(condition, {tag: side.column})
    return picked + " and " + inside + ")", [*side.parameters, *values]


def _column(tag: int, columns: Columns, kind: ColumnKind | None = None) -> Column:
    column = columns.get(tag)
    if not isinstance(column, Column) or (kind is not None and column.kind != kind):
        raise UnmappedKey(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) cannot be searched here")
    return column


def _any_of(condition: AnyOf, columns: Columns) -> Clause:
    parts: list[LiteralString] = []
    parameters: list[Any] = []
    for option in condition.options:
        text, values = _compiled(option, columns)
        parts.append(text)
        parameters += values
    return "(" + " or ".join(parts or ["false"]) + ")", parameters


def _sequence(condition: SequenceMatch, columns: Columns) -> Clause:
    items = columns.get(condition.tag)
    if not isinstance(items, Items):
        raise UnmappedKey(
            f"({condition.tag >> 16:04X},{condition.tag & 0xFFFF:04X}) cannot be searched here"
        )
    inside, parameters = where(condition.conditions, items.columns)
    if items.source is None:
        return inside, parameters
    return "exists (select from " + items.source + " where " + inside + ")", parameters


def _empty(condition: EmptyValue, columns: Columns) -> Clause:
    found = columns.get(condition.tag)
    if isinstance(found, Items):
        if found.source is None:
            return "false", []
        return "not exists (select from " + found.source + ")", []
    column = _column(condition.tag, columns)
    match column.kind:
        case "text" | "person_name":
            return "coalesce(btrim(" + column.expression + "), '') = ''", []
        case "text_array":
            return "coalesce(cardinality(" + column.expression + "), 0) = 0", []
        case _:
            return column.expression + " is null", []


def _text(condition: SingleValue | Wildcard | ListOfUid, column: Column) -> Clause:
    expression = column.expression
    match condition, column.kind:
        case SingleValue(_, _, value), "number":
            return expression + " = %s::numeric", [Decimal(value)]
        case SingleValue(_, _, value), "text":
            return expression + " = %s", [value]
        case SingleValue(_, _, value), "text_array":
            return "%s = any(" + expression + ")", [value]
        case ListOfUid(_, uids), "text":
            return expression + " = any(%s)", [list(uids)]
        case ListOfUid(_, uids), "text_array":
            return expression + " && %s::text[]", [list(uids)]
        case Wildcard(_, _, pattern), "text":
            return "(" + expression + " like %s and " + expression + " <> '')", [_like(pattern)]
        case Wildcard(_, _, pattern), "text_array":
            return (
                "exists (select from unnest(" + expression + ") as element where element like %s)"
            ), [_like(pattern)]
        case _:
            raise UnmappedKey(f"a {column.kind} cannot be compared with a text")


def _like(pattern: str) -> str:
    r"""The pattern of * and ? as one of % and _, for ``like`` with its usual escape ``\``."""
    escaped = pattern.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%").replace("?", "_")


_KIND_OF_RANGE: Mapping[type[DateRange | TimeRange | DateTimeRange], ColumnKind] = {
    DateRange: "date",
    TimeRange: "time",
    DateTimeRange: "datetime",
}


def _range(condition: DateRange | TimeRange | DateTimeRange, column: Column) -> Clause:
    if column.kind != _KIND_OF_RANGE[type(condition)]:
        raise UnmappedKey(f"a {column.kind} has no range of another kind")
    ends = (condition.earliest, condition.latest)
    return _between(column.expression, [_aware(e) if isinstance(e, datetime) else e for e in ends])


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _between(expression: LiteralString, ends: Sequence[Any]) -> Clause:
    earliest, latest = ends
    if earliest is None and latest is None:
        return expression + " is not null", []
    if latest is None:
        return expression + " >= %s", [earliest]
    if earliest is None:
        return expression + " <= %s", [latest]
    if earliest == latest:
        return expression + " = %s", [earliest]
    return "(" + expression + " >= %s and " + expression + " <= %s)", [earliest, latest]


def _combined(condition: CombinedDateTimeRange, columns: Columns) -> Clause:
    day = _column(condition.date_tag, columns, "date").expression
    at = _column(condition.time_tag, columns, "time").expression
    text, values = _between(
        "(" + day + " + coalesce(" + at + ", time '00:00'))",
        [condition.earliest, condition.latest],
    )
    # Said once more of the date alone, which an index may know.
    bounds = [each.date() if each else None for each in (condition.earliest, condition.latest)]
    narrowed, more = _between(day, bounds)
    return "(" + narrowed + " and " + text + ")", [*more, *values]


def _name(condition: PersonName, column: Column) -> Clause:
    name = column.expression
    if condition.any_group:
        pattern = _like(condition.groups[0])
        # A name of one group is compared as a whole, so that an index of beginnings helps.
        return (
            "((position('=' in " + name + ") = 0 and " + name + " like %s and " + name + " <> '')"
            " or (position('=' in " + name + ") > 0 and exists (select from"
            " unnest(string_to_array(" + name + ", '=')) as name_group"
            " where name_group like %s and name_group <> '')))"
        ), [pattern, pattern]
    parts: list[LiteralString] = [name + " <> ''"]
    parameters: list[Any] = []
    for number, group in enumerate(condition.groups, start=1):
        if group:
            parts.append("split_part(" + name + ", '=', %s) like %s")
            parameters += [number, _like(group)]
    return "(" + " and ".join(parts) + ")", parameters


def _fuzzy(condition: FuzzyName, column: Column) -> Clause:
    parts: list[LiteralString] = []
    parameters: list[Any] = []
    for word in condition.words:
        begins: LiteralString = (
            "exists (select from regexp_split_to_table("
            + column.expression
            + ", '[ ^=,.*?]+') as word where word like %s)"
        )
        parameters.append(_like(word.replace("*", "").replace("?", "")) + "%")
        if column.phonetic is None:
            parts.append(begins)
        else:
            sounds: LiteralString = "%s = any(string_to_array(" + column.phonetic + ", ' '))"
            parts.append("(" + begins + " or " + sounds + ")")
            parameters.append(phonetic_key(word))
    return "(" + " and ".join(parts or ["true"]) + ")", parameters
