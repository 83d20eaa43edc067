"""What the DIMSE gateway needs from the rest of the system: one callable per concern.

The application hands real services over; tests hand over the same shapes in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from isocenter.domain.archive.model import Admission, ReceivedInstance
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse.outgoing import Outgoing
from isocenter.gateways.dimse.scu import Peer
from isocenter.standards.dicom.dimse.messages import Request
from isocenter.standards.dicom.query_retrieve import BASELINE, Extensions, Retrieval
from isocenter.standards.dicom.ul.connection import NegotiatedContext
from isocenter.standards.dicom.ul.items import UserIdentity
from isocenter.standards.dicom.values import DataSet

if TYPE_CHECKING:
    from isocenter.gateways.dimse.association import Association


class Service(StrEnum):
    """What a peer may be allowed to do, in the words of ``isocenter peer add --allow``."""

    ECHO = "echo"
    STORE = "store"
    FIND = "find"
    MOVE = "move"
    GET = "get"
    WORKLIST = "worklist"
    MPPS = "mpps"
    UPS = "ups"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for an association, by what can be seen of it.

    Attributes:
        tls_subject: subject of the verified client certificate (RFC 4514 text), or ``None``.
        user_identity: who it says is behind the association, with the proof; or ``None``.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    tls_subject: str | None = None
    user_identity: UserIdentity | None = None


class IdentityRefused(IsocenterError):
    """The user identity is missing where one is required, or it is false."""

    kind: ClassVar[Kind] = Kind.FORBIDDEN


@dataclass(frozen=True, slots=True)
class Grant:
    """A known caller and what it may do.

    Attributes:
        peer_name: its name in the list of peers.
        user_name: of the user whose identity was checked; '' without one.
        quirks: what is known of it that is not the standard, ``domain.peers.model_quirks``.
    """

    peer_name: str
    services: frozenset[Service]
    user_name: str = ""
    quirks: frozenset[str] = frozenset()


class Policy(Protocol):
    """Decides who may associate. Asked once per association request."""

    async def grant(self, caller: Caller) -> Grant | None:
        """What the caller may do; ``None`` when it is unknown or comes from a wrong address.

        Raises ``IdentityRefused``. Any other ``IsocenterError`` (such as a database that is away)
        refuses the association as temporary congestion.
        """
        ...

    async def record_unknown(self, caller: Caller) -> None:
        """Remembers a refused caller for an administrator to approve. Cheap when repeated."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object with the peer that sent it. Nobody can see it yet."""

    caller: Caller
    grant: Grant
    instance: ReceivedInstance


class Admit(Protocol):
    """Makes a batch of objects visible, and commits that.

    Called in the admission thread with objects whose bytes are durable.

    Success is answered to the senders after this has returned, unless the object lies on a shelf:
    then it is tried again until it succeeds. A bad object is refused by its
    outcome and does not fail the others. An ``IsocenterError`` fails the batch: when the database
    or the storage is away or busy all senders are told so; otherwise each object is tried alone, so
    that one never harms another.
    """

    def __call__(self, batch: Sequence[Arrival], /) -> Sequence[Admission]:
        """One outcome per object, in order."""
        ...


class ShelfRegister(Protocol):
    """Makes shelves known to whoever takes in what a process left on them, and commits that.

    Called in the admission thread. Raises ``IsocenterError`` when the database is away.
    """

    def open(self, directory: str, mark: str) -> None:
        """From now on whatever is put there will be taken in, by somebody."""
        ...

    def renew(self, marks: Sequence[str]) -> None:
        """Their owner is alive."""
        ...

    def close(self, marks: Sequence[str]) -> None:
        """Nothing is left to be done there."""
        ...


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One C-FIND.

    Attributes:
        sop_class_uid: the information model, as in ``uids``.
        identifier: matching and return keys as received.
        extensions: what was negotiated beyond the baseline.
    """

    caller: Caller
    grant: Grant
    sop_class_uid: str
    identifier: DataSet
    extensions: Extensions = BASELINE


class Query(Protocol):
    """Answers one C-FIND in a query thread; the iterator is closed when the peer cancels."""

    def __call__(self, request: QueryRequest, /) -> Iterator[DataSet]:
        """The matches, each complete with Specific Character Set when it needs one.

        An ``IsocenterError`` ends the query with the status of its kind.
        """
        ...


@runtime_checkable
class KnowsKeys(Protocol):
    """A query that does not support every key."""

    def lacks_keys(self, request: QueryRequest, /) -> bool:
        """Whether keys of the identifier are neither matched nor returned."""
        ...


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """One C-MOVE or C-GET.

    Attributes:
        move_destination: AE title of whom it goes to; None for the caller itself (C-GET).
    """

    caller: Caller
    grant: Grant
    wanted: Retrieval
    move_destination: str | None


@dataclass(frozen=True, slots=True)
class RetrievePlan:
    """What is sent, in this order, and to whom; ``destination`` is None for the caller itself."""

    instances: Sequence[Outgoing]
    destination: Peer | None


class Retrieve(Protocol):
    """Says what a C-MOVE or C-GET is about, in a thread."""

    def __call__(self, request: RetrieveRequest, /) -> RetrievePlan:
        """The instances and where they go. An ``IsocenterError`` refuses the retrieval."""
        ...


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of DIMSE-N.

    Attributes:
        request: an ``N...Request``; its UIDs and type identifiers are as received.
        data_set: decoded; empty when there was none.
    """

    caller: Caller
    grant: Grant
    request: Request
    data_set: DataSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an operation.

    Attributes:
        comment: one short sentence for the peer's log.
        error_id: of the application, where the service class defines one.
        attribute_identifiers: tags of the attributes that are at fault, or that were changed.
        affected_sop_instance_uid: where it differs from the one that was asked for.
        data_set: goes with the response.
        follow_up: called on the event loop once the response is sent, to go on with the peer.

    Standard: PS3.7 Annex C.4, C.5
    """

    status: int
    comment: str = ""
    error_id: int | None = None
    attribute_identifiers: tuple[int, ...] = ()
    affected_sop_instance_uid: str = ""
    data_set: DataSet | None = None
    follow_up: Callable[["Association", NegotiatedContext], None] | None = None


class Perform(Protocol):
    """Performs the operations of one SOP class, in an operation thread."""

    def __call__(self, operation: Operation, /) -> Outcome:
        """What became of it.

        An ``IsocenterError`` is answered with the status of its kind.
        """
        ...


@dataclass(frozen=True, slots=True)
class NormalizedClass:
    """A SOP class of DIMSE-N that is served.

    Attributes:
        service: what a peer must be allowed to do to use it.
        operations: the requests that it knows; others are refused as unrecognized.
        scu: we may be the SCU as well, as when a peer reports an event to us.
    """

    service: Service
    operations: frozenset[type[Request]]
    perform: Perform
    scu: bool = False
