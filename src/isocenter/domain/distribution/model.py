"""What goes out: report versions and images on their way, the rules for images, and commitments."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, ClassVar

from isocenter.domain.archive.model_outgoing import SeriesGrowth
from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom import uids


class DeliveryState(StrEnum):
    """How far a delivery is. ``SENT`` without acknowledgement is sent again when its time comes."""

    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


class UnknownDelivery(IsocenterError):
    """No delivery has this key."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class UnknownDestination(IsocenterError):
    """Nothing was ever queued for a recipient of this name."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class DeliveryInProgress(IsocenterError):
    """Only a delivery that ended can be replayed."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class NothingToSkip(IsocenterError):
    """A delivery that arrived, or that nothing waits behind, is not skipped."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class Superseded(IsocenterError):
    """A newer version is on its way to the recipient, or there."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class ClaimLost(IsocenterError):
    """The lease ended and another sender has the delivery: this result must not be recorded."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that the caller alone may send until its lease ends.

    Attributes:
        attempt: counts the claims of this delivery; given back with every result, so that a sender
            whose lease has ended cannot undo what its successor did.
        message: the bytes to send, once made: every attempt sends the same.
        control_id: MSH-10 of ``message``.
        lane: within which order is kept.
        kind: as ``MessageKind`` has it; ``subject``, ``occasion`` and ``told`` as ``Telling`` does.
    """

    delivery_key: int
    report_id: str | None
    version: int | None
    accession_number: str
    recipient: str
    attempt: int
    control_id: str | None
    message: bytes | None
    lane: str = ""
    kind: str = "report"
    subject: str = ""
    occasion: str = ""
    told: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery that its recipient acknowledged.

    Attributes:
        sent_at: when it was written to a connection.
    """

    claimed: Claimed
    acknowledgement: bytes
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A lane of a recipient that waits for a person: its first delivery was refused for good.

    Attributes:
        lane: ``patient/KEY`` or ``exam/ACCESSION``.
        delivery_key: what was refused, and ``last_error`` why.
        waiting: deliveries behind it.
    """

    recipient: str
    lane: str
    delivery_key: int
    accession_number: str
    quarantined_at: datetime
    last_error: str | None
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message, or images of one study, on the way to one recipient.

    Attributes:
        kind: of an HL7 message as ``MessageKind`` has it, else ``images``, ``availability`` or
            ``rejection``.
        subject: what a message is about that is no report: ``order/KEY``, ``patient/KEY``…
        occasion: why that is sent: a trigger event, or an order control with its status.
        failing_since: the first failure since it was queued, or replayed; None while all is well.
        commitment: of images whose storage commitment was asked for: ``due``, ``requested``,
            ``committed`` or ``failed``.
    """

    delivery_key: int
    kind: str
    subject: str
    occasion: str
    report_id: str | None
    version: int | None
    study_instance_uid: str | None
    route_name: str | None
    accession_number: str
    recipient: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    control_id: str | None
    queued_at: datetime
    sent_at: datetime | None
    acknowledged_at: datetime | None
    refused_at: datetime | None
    failing_since: datetime | None
    last_error: str | None
    instances: int | None
    instances_sent: int | None
    instances_failed: int | None
    commitment: str | None
    commitment_error: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", DeliveryState(self.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which of many deliveries, newest first.

    Attributes:
        before: the key of one; only older ones are meant.
    """

    limit: int = 100
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A recipient's queue.

    Attributes:
        protocol: ``hl7`` or ``dicom``; a peer of each may have the same name.
        waiting: deliveries that are queued, or sent and not acknowledged.
        refused: deliveries that are parked.
        oldest_queued_at: of those waiting; its age is the alarm that counts.
        due_at: nothing is sent before; None while nothing keeps it from getting what is due.
        fault_at: it was paused by itself, because the recipient takes no message of this kind.
        quarantined: lanes that wait for a person behind what was refused.
    """

    protocol: str
    recipient: str
    paused_at: datetime | None
    paused_by: str | None
    pause_reason: str | None
    waiting: int
    refused: int
    oldest_queued_at: datetime | None
    failing_since: datetime | None
    last_error: str | None
    due_at: datetime | None = None
    fault_at: datetime | None = None
    quarantined: int = 0


class RouteExists(IsocenterError):
    """There is a route of this name already."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class UnknownRoute(IsocenterError):
    """There is no route of this name."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class BadRoute(IsocenterError):
    """A route's description cannot be used."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class Moment(StrEnum):
    """When images are queued: as they arrive, or once no more are expected."""

    RECEIVED = "received"
    COMPLETE = "complete"


class Priority(StrEnum):
    """Which deliveries of a destination go first.

    Standard: PS3.7 Table 9.3-1
    """

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def urgency(self) -> int:
        """A number that is lower for what goes first."""
        return {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Which images a route is for. Of each condition any pattern must match; empty ones always do.

    Patterns know ``*`` and ``?`` and look past letter case and surrounding blanks.

    Attributes:
        time_from: of arrival, local; with ``time_to`` before it the span goes over midnight.
    """

    calling_ae_titles: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    study_descriptions: tuple[str, ...] = ()
    series_descriptions: tuple[str, ...] = ()
    referring_physicians: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    time_from: time | None = None
    time_to: time | None = None

    def include(self, series: SeriesGrowth, arrived_at: time) -> bool:
        """Whether the series, with what is new in it, is among the images that are meant."""
        asked = (
            (self.calling_ae_titles, series.calling_ae_titles),
            (self.modalities, (series.modality or "",)),
            (self.study_descriptions, (series.study_description or "",)),
            (self.series_descriptions, (series.series_description or "",)),
            (self.referring_physicians, _names(series.referring_physician_name)),
            (self.body_parts, (series.body_part_examined or "",)),
        )
        return self._in_time(arrived_at) and all(_any_fits(*each) for each in asked)

    def _in_time(self, moment: time) -> bool:
        if self.time_from is None or self.time_to is None:
            return True
        if self.time_from <= self.time_to:
            return self.time_from <= moment < self.time_to
        return moment >= self.time_from or moment < self.time_to


def _any_fits(patterns: Sequence[str], values: Iterable[str]) -> bool:
    if not patterns:
        return True
    plain = [value.strip().casefold() for value in values]
    return any(_fits(pattern.strip().casefold(), value) for pattern in patterns for value in plain)


def _fits(pattern: str, value: str) -> bool:
    # fnmatch knows more than * and ?: its brackets are taken as they stand.
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _names(physician: str | None) -> tuple[str, ...]:
    """The name's component groups, without empty components at their ends (PS3.5 6.2.1)."""
    return tuple(group.rstrip("^ ") for group in (physician or "").split("="))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A rule: which images go to which destination, when and how.

    Attributes:
        recipient: name of the DICOM peer.
        transfer_syntax_uid: to compress with where it can be had and the destination takes it.
        sends_images: the instances themselves.
        notifies: an Instance Availability Notification when the study is complete.
        wants_commitment: the destination is asked to commit to what it took.
    """

    name: str
    recipient: str
    conditions: Conditions = field(default_factory=Conditions)
    moment: Moment = Moment.RECEIVED
    priority: Priority = Priority.MEDIUM
    transfer_syntax_uid: str | None = None
    sends_images: bool = True
    notifies: bool = False
    wants_commitment: bool = False
    enabled: bool = True


# Names by which people choose what images are compressed with: all of them without loss.
COMPRESSIONS: Mapping[str, str] = MappingProxyType({
    "jpeg-ls": uids.JPEG_LS_LOSSLESS,
    "jpeg-2000": uids.JPEG_2000_LOSSLESS,
    "htj2k": uids.HTJ2K_LOSSLESS,
    "htj2k-rpcl": uids.HTJ2K_LOSSLESS_RPCL,
    "jpeg-lossless": uids.JPEG_LOSSLESS_FIRST_ORDER,
    "rle": uids.RLE_LOSSLESS,
})
_ROUTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PATTERNS_MAX = 50
PATTERN_LENGTH_MAX = 64


def check_route(route: Route) -> None:
    """Raise ``BadRoute`` unless the description is usable."""
    if not _ROUTE_NAME.fullmatch(route.name):
        raise BadRoute("a route's name has 1 to 64 letters, digits, '.', '_' or '-'")
    if not (route.sends_images or route.notifies):
        raise BadRoute("a route sends images, notifications, or both")
    if route.transfer_syntax_uid not in {None, *COMPRESSIONS.values()}:
        raise BadRoute(f"images are compressed with {', '.join(COMPRESSIONS)}")
    if route.wants_commitment and not route.sends_images:
        raise BadRoute("storage commitment is asked for images that were sent")
    conditions = route.conditions
    if (conditions.time_from is None) != (conditions.time_to is None):
        raise BadRoute("a time of day has a beginning and an end")
    if conditions.time_from is not None and conditions.time_from == conditions.time_to:
        raise BadRoute("a time of day begins and ends at different times")
    patterns = (
        conditions.calling_ae_titles,
        conditions.modalities,
        conditions.study_descriptions,
        conditions.series_descriptions,
        conditions.referring_physicians,
        conditions.body_parts,
    )
    for given in patterns:
        if len(given) > PATTERNS_MAX:
            raise BadRoute(f"a condition has at most {PATTERNS_MAX} patterns")
        if any(not 0 < len(each.strip()) <= PATTERN_LENGTH_MAX for each in given):
            raise BadRoute(f"a pattern has 1 to {PATTERN_LENGTH_MAX} characters")


class TransferKind(StrEnum):
    """What a transfer brings."""

    IMAGES = "images"
    AVAILABILITY = "availability"
    REJECTION = "rejection"


@dataclass(frozen=True, slots=True)
class Failure:
    """An instance that the destination did not take, and why."""

    sop_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What was done of a transfer since the last time: ``sent`` were taken, ``failures`` not.

    Attributes:
        sent_key: instances up to this key were dealt with.
    """

    sent_key: int
    sent: int
    failures: Sequence[Failure]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTransfer:
    """A transfer that the caller alone may make until its lease ends.

    Attributes:
        attempt: counts the claims; given back with every result.
        sent_key: instances up to this key were dealt with.
        breaks: how often the association broke while the instance behind ``sent_key`` was sent.
        note_sop_instance_uid: of the note that a transfer of that kind brings.
    """

    delivery_key: int
    kind: TransferKind
    route_name: str
    recipient: str
    study_instance_uid: str
    accession_number: str
    series_instance_uids: list[str]
    sent_key: int
    through_key: int
    urgency: int
    transfer_syntax_uid: str | None
    wants_commitment: bool
    attempt: int
    breaks: int
    note_sop_instance_uid: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", TransferKind(self.kind))


class CommitmentState(StrEnum):
    """How far a request for storage commitment is. ``REFUSED``: its answer cannot be delivered."""

    REQUESTED = "requested"
    DECIDED = "decided"
    REPORTED = "reported"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedCommitment:
    """A request that the caller alone may decide or answer until its lease ends.

    Attributes:
        references: SOP class and instance of each object that is asked for.
        failure_reasons: one for each reference, 0 for what is safe; None before it is decided.
    """

    commitment_key: int
    peer: str
    address: str
    transaction_uid: str
    sop_class_uids: list[str]
    sop_instance_uids: list[str]
    failure_reasons: list[int] | None
    duplicate: bool
    attempt: int
    requested_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A request for storage commitment as people see it."""

    commitment_key: int
    peer: str
    transaction_uid: str
    state: CommitmentState
    instances: int
    failed: int
    attempts: int
    requested_at: datetime
    decided_at: datetime | None
    reported_at: datetime | None
    last_error: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", CommitmentState(self.state))
