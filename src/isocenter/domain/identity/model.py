"""Patients as pure data: facts that were asserted, who survives merges, which facts win.

Two rules make every arrival order of the same messages end in the same state. Of each column the
newest assertion wins, by the time it was asserted and not by the time it arrived. And who stands
for whom is computed from the set of merges that were asserted and not undone, never step by step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Literal, Self

from isocenter.errors import IsocenterError, Kind

Sex = Literal["M", "F", "O", ""]

COLUMNS = (
    "person_name",
    "birth_date",
    "sex",
    "address",
    "phone",
    "aliases",
    "unidentified",
    "vip",
    "birth_order",
    "mother_name",
    "mother_identifier",
)
"""What is kept of a person beside identifiers, each with its own time of assertion."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class PatientUnidentified(IsocenterError):
    """Facts about a patient came without any identifier."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class PatientUnknown(IsocenterError):
    """There is no such patient."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class SelfMerge(IsocenterError):
    """A patient was to be merged into itself."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class InverseMerge(IsocenterError):
    """The prior patient of this merge is the survivor of an earlier one of the same pair."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class SelfLink(IsocenterError):
    """A patient was to be linked with itself."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class LinkUnknown(IsocenterError):
    """There is no such link, or it was undone already."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class IdentifierUnknown(IsocenterError):
    """No patient has this identifier."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class IdentifierTaken(IsocenterError):
    """The identifier belongs to another patient."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class ChangeUnknown(IsocenterError):
    """There is no such change of an identifier, it was undone, or a later one stands on it."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class PairUnknown(IsocenterError):
    """There is no such pair of records to decide on."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class PairDecided(IsocenterError):
    """Somebody decided on this pair before; undo that first."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class PairUndecided(IsocenterError):
    """Nothing was decided on this pair that could be undone."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class MergeUnknown(IsocenterError):
    """There is no such merge, or it was undone already."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class PatientIdentifier:
    """One identifier. Attributes: assigning_authority: ``""`` when it is not known.

    Standard: HL7 v2.5.1 2.A.14 (CX)
    """

    value: str
    assigning_authority: str = ""
    type_code: str = "MR"


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """What a message says about a patient; None: it says nothing, ``""``: it says there is none.

    Attributes:
        identifiers: the first one names the record; the others belong to the same person.
        person_name: DICOM PN text, components parted by ``^``, groups by ``=``.
        asserted_at: when the sender said so (not when it arrived).
        aliases: further names that the person is known by, as ``person_name``.
        unidentified: nobody knows yet who this is, and what is said may be made up.
        birth_order: among the children of one birth; 0 for a single child.
        mother_identifier: as ``value^^^authority``.
    """

    identifiers: tuple[PatientIdentifier, ...]
    asserted_at: datetime
    person_name: str | None = None
    birth_date: date | Literal[""] | None = None
    sex: Sex | None = None
    address: str | None = None
    phone: str | None = None
    aliases: tuple[str, ...] | None = None
    unidentified: bool | None = None
    vip: bool | None = None
    birth_order: int | None = None
    mother_name: str | None = None
    mother_identifier: str | None = None

    def said(self) -> dict[str, Any]:
        """Column name -> value, of the columns that these facts say something about."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        if self.aliases is not None:
            columns["aliases"] = list(self.aliases)
        return {name: value for name, value in columns.items() if value is not None}

    def named_by(self, identifiers: tuple[PatientIdentifier, ...]) -> Self:
        """The same facts of the record that ``identifiers`` name."""
        return replace(self, identifiers=identifiers)


@dataclass(frozen=True, slots=True)
class Patient:
    """One person as known now, all merges followed.

    Attributes:
        identifiers: of this record; the one to show comes first.
        alias_identifiers: of records that were merged into it.
    """

    patient_key: int
    identifiers: tuple[PatientIdentifier, ...]
    alias_identifiers: tuple[PatientIdentifier, ...]
    person_name: str | None
    birth_date: date | None
    sex: str | None
    address: str | None
    phone: str | None
    aliases: tuple[str, ...] = ()
    unidentified: bool = False
    vip: bool = False
    birth_order: int | None = None
    mother_name: str | None = None
    mother_identifier: str | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """What registering came to.

    Attributes:
        patient_key: the row that the first identifier names.
        current_key: the row that stands for it after all merges.
        changed: names of the columns that changed, and ``identifiers``; empty for a repetition.
    """

    patient_key: int
    current_key: int
    created: bool
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merge:
    """The assertion that ``prior_key`` is the same person as ``survivor_key``."""

    merge_key: int
    survivor_key: int
    prior_key: int
    asserted_at: datetime
    merged_at: datetime
    undone_at: datetime | None
    actor: str


@dataclass(frozen=True, slots=True)
class LinkGround:
    """Who says that two records are one person, why, and when; ``asserted_at`` None: now."""

    origin: Literal["message", "person", "system"]
    reason: str = ""
    asserted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The assertion that two records are one person, while both stay in use.

    Attributes:
        one_key: the smaller key of the two.
        origin: ``message``, ``person`` or ``system``.
    """

    link_key: int
    one_key: int
    other_key: int
    origin: str
    reason: str
    asserted_at: datetime
    linked_at: datetime
    undone_at: datetime | None
    actor: str


@dataclass(frozen=True, slots=True)
class IdentifierChange:
    """An identifier that went to another record, or was retired where ``to_key`` is the same."""

    change_key: int
    assigning_authority: str
    value: str
    from_key: int
    to_key: int
    asserted_at: datetime
    changed_at: datetime
    undone_at: datetime | None
    actor: str


@dataclass(frozen=True, slots=True)
class MatchPair:
    """Two records that may be one person, and what became of the question.

    Attributes:
        kind: ``duplicate``, or ``reused_identifier``: what comes under a merged number now is of
            somebody else.
        state: ``open``, ``linked``, ``merged``, ``not_the_same``, or ``passed``: the facts changed.
        weight: binary logarithm of how much likelier they agree so when they are one person.
        grounds: ``field``, ``level`` and ``weight`` of each field that was compared.
        done_key: of the link or merge that the decision made or undid.
    """

    pair_key: int
    one_key: int
    other_key: int
    kind: str
    state: str
    weight: float
    grounds: list[dict[str, Any]]
    found_at: datetime
    decided_at: datetime | None
    decided_by: str
    reason: str
    done_key: int | None


@dataclass(frozen=True, slots=True)
class Revision:
    """A row's columns after an assertion.

    Attributes:
        values: the columns whose value is another than before.
        said_at: column name -> microseconds since 1970 of the assertion that its value is from.
        newer: whether a value or ``said_at`` changed, so that the row must be written.
    """

    values: dict[str, Any]
    said_at: dict[str, int]
    newer: bool


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    return (moment - _EPOCH) // _MICROSECOND


def revised(
    current: Mapping[str, Any],
    said_at: Mapping[str, int],
    said: Mapping[str, Any],
    asserted_at: datetime,
) -> Revision:
    """``current`` after somebody asserted ``said``: of each column the newest assertion holds.

    Of two assertions of the same moment the one that arrives later holds: senders write whole
    seconds, and an update may follow within the second.
    """
    moment = microseconds(asserted_at)
    holding = {name for name in said if moment >= said_at.get(name, moment)}
    values = {name: said[name] for name in said if name in holding and current[name] != said[name]}
    after = {**said_at, **dict.fromkeys(sorted(holding), moment)}
    return Revision(values, after, newer=bool(values) or after != said_at)


def not_from_the_future(asserted_at: datetime, now: datetime) -> datetime:
    """When something was asserted, at most ``now``.

    A sender whose clock runs ahead would otherwise hold its columns against everybody else.
    """
    return min(asserted_at, now)


def distinct(identifiers: Iterable[PatientIdentifier]) -> tuple[PatientIdentifier, ...]:
    """The usable identifiers in their order, each authority and value once."""
    found: dict[tuple[str, str], PatientIdentifier] = {}
    for each in identifiers:
        if each.value:
            found.setdefault((each.assigning_authority, each.value), each)
    return tuple(found.values())


def survivors(merges: Sequence[Merge]) -> dict[int, int]:
    """Patient row -> the row that stands for it; rows that stand for themselves are left out.

    Each prior follows its newest merge. Merges that lead in a circle contradict each other: the
    newest of them hold, so the oldest of the circle is passed over. A pair merged one way and later
    the other way therefore survives as the later message says, whichever arrives first.
    """
    newest: dict[int, Merge] = {}
    standing = [each for each in merges if each.undone_at is None]
    for merge in sorted(standing, key=_age):
        newest[merge.prior_key] = merge
    for start in sorted(newest):
        circle = _circle_from(start, newest)
        if circle:
            del newest[min(circle, key=_age).prior_key]
    return {prior: _end_of(prior, newest) for prior in newest}


def _age(merge: Merge) -> tuple[datetime, int]:
    return merge.asserted_at, merge.merge_key


def _circle_from(start: int, following: Mapping[int, Merge]) -> list[Merge]:
    path: list[int] = []
    at = start
    while at in following and at not in path:
        path.append(at)
        at = following[at].survivor_key
    return [following[key] for key in path[path.index(at) :]] if at in path else []


def _end_of(start: int, following: Mapping[int, Merge]) -> int:
    at = start
    while at in following:
        at = following[at].survivor_key
    return at
