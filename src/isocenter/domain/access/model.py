"""Who acts, and what they may do: roles, actions, actors and the one decision.

One table says what a role or a peer's permission lets it do, and ``authorize`` is the only place
that decides. How someone proves who they are is in ``service``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self

from isocenter.errors import IsocenterError, Kind

PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 512
USER_NAME_LENGTH_MAX = 64


class Role(StrEnum):
    """What a person is in the department."""

    ADMINISTRATOR = "administrator"
    RADIOLOGIST = "radiologist"
    TECHNOLOGIST = "technologist"
    FRONT_DESK = "front_desk"


class Action(StrEnum):
    """One thing that may be permitted."""

    EXAM_READ = "exam.read"
    PATIENT_READ = "patient.read"
    PATIENT_WRITE = "patient.write"
    ORDER_WRITE = "order.write"
    SCHEDULE_WRITE = "schedule.write"
    WORKLIST_READ = "worklist.read"
    WORKITEM_WRITE = "workitem.write"
    STUDY_READ = "study.read"
    STUDY_STORE = "study.store"
    STUDY_RECONCILE = "study.reconcile"
    STUDY_REJECT = "study.reject"
    REPORT_READ = "report.read"
    REPORT_WRITE = "report.write"
    REPORT_SIGN = "report.sign"
    DELIVERY_READ = "delivery.read"
    DELIVERY_REPLAY = "delivery.replay"
    MESSAGE_READ = "message.read"
    MESSAGE_REPLAY = "message.replay"
    PEER_READ = "peer.read"
    PEER_WRITE = "peer.write"
    USER_WRITE = "user.write"
    AUDIT_READ = "audit.read"
    SYSTEM_READ = "system.read"
    SITE_WRITE = "site.write"


class ActorKind(StrEnum):
    """How an actor is known."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a kind of actor, not a secret
    DICOM_PEER = "dicom_peer"
    HL7_PEER = "hl7_peer"
    SYSTEM = "system"


_READ = frozenset({
    Action.EXAM_READ,
    Action.PATIENT_READ,
    Action.STUDY_READ,
    Action.REPORT_READ,
    Action.WORKLIST_READ,
})

ROLE_ACTIONS: Mapping[Role, frozenset[Action]] = {
    Role.RADIOLOGIST: _READ
    | {
        Action.WORKITEM_WRITE,
        Action.STUDY_STORE,
        Action.STUDY_RECONCILE,
        Action.REPORT_WRITE,
        Action.REPORT_SIGN,
        Action.DELIVERY_READ,
    },
    Role.TECHNOLOGIST: _READ
    | {
        Action.PATIENT_WRITE,
        Action.ORDER_WRITE,
        Action.SCHEDULE_WRITE,
        Action.WORKITEM_WRITE,
        Action.STUDY_STORE,
        Action.STUDY_RECONCILE,
        Action.DELIVERY_READ,
    },
    Role.FRONT_DESK: frozenset({
        Action.EXAM_READ,
        Action.PATIENT_READ,
        Action.PATIENT_WRITE,
        Action.ORDER_WRITE,
        Action.SCHEDULE_WRITE,
        Action.WORKLIST_READ,
        Action.REPORT_READ,
        Action.DELIVERY_READ,
    }),
    # Runs the installation and mends what is stuck; writing or signing a report is a medical act.
    Role.ADMINISTRATOR: frozenset(Action) - {Action.REPORT_WRITE, Action.REPORT_SIGN},
}

DICOM_PERMISSION_ACTIONS: Mapping[str, frozenset[Action]] = {
    # A rejection note is an object like any (IHE RAD-66); what it takes out of use can be restored.
    "store": frozenset({Action.STUDY_STORE, Action.STUDY_REJECT}),
    "find": frozenset({Action.STUDY_READ}),
    "move": frozenset({Action.STUDY_READ}),
    "get": frozenset({Action.STUDY_READ}),
    "worklist": frozenset({Action.WORKLIST_READ}),
    "mpps": frozenset({Action.SCHEDULE_WRITE}),
    "ups": frozenset({Action.WORKLIST_READ, Action.WORKITEM_WRITE}),
}

HL7_PERMISSION_ACTIONS: Mapping[str, frozenset[Action]] = {
    "adt": frozenset({Action.PATIENT_WRITE}),
    "orm": frozenset({Action.PATIENT_WRITE, Action.ORDER_WRITE, Action.SCHEDULE_WRITE}),
    "siu": frozenset({Action.PATIENT_WRITE, Action.SCHEDULE_WRITE}),
    "oru": frozenset({Action.PATIENT_WRITE, Action.REPORT_WRITE}),
    "mdm": frozenset({Action.PATIENT_WRITE, Action.REPORT_WRITE}),
    "dft": frozenset({Action.PATIENT_WRITE}),
    "bar": frozenset({Action.PATIENT_WRITE}),
    "qbp": frozenset({Action.PATIENT_READ}),
}


class NotAuthorized(IsocenterError):
    """The actor may not do this."""

    kind: ClassVar[Kind] = Kind.FORBIDDEN

    def __init__(self, actor: "Actor", action: Action) -> None:
        super().__init__(f"{actor.name} may not do {action.value}")
        self.actor = actor
        self.action = action


class WeakPassword(IsocenterError):
    """The password is too short, or too long to be one."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class BadUserName(IsocenterError):
    """The user name is empty, too long, or holds characters that cannot be typed safely."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class UserExists(IsocenterError):
    """Another user has this name."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class UserUnknown(IsocenterError):
    """There is no user of this name."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class TokenUnknown(IsocenterError):
    """There is no such token."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class LastAdministrator(IsocenterError):
    """Without this user nobody could administer the installation."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Launched:
    """What sets a session apart that another system has opened by a launch code.

    Attributes:
        on_behalf_of: who sits there, as the issuer of the code says; empty: not said.
        frame_origin: origin of the page whose frame shows the session; None: no frame.
        study_instance_uids: the studies that it is confined to; None: it is not confined.
        accession_numbers: the exams that it is confined to.
    """

    on_behalf_of: str = ""
    frame_origin: str | None = None
    study_instance_uids: frozenset[str] | None = None
    accession_numbers: frozenset[str] = frozenset()

    @property
    def is_confined(self) -> bool:
        """Whether the session may see some exams only."""
        return self.study_instance_uids is not None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, from where, and what they may do.

    Attributes:
        name: user name or peer name.
        source: the network address acted from, or ``local``.
        user_key: the user behind a session or token.
        display_name: how people know the actor; the name where there is none.
        launched: set where another system opened the session. The door of HTTP keeps a session
            that is confined to its exams.
    """

    kind: ActorKind
    name: str
    actions: frozenset[Action]
    source: str
    user_key: int | None = None
    display_name: str = ""
    launched: Launched | None = None

    @classmethod
    def system(cls, name: str) -> Self:
        """The installation itself: a worker's job or a command at its own console."""
        return cls(ActorKind.SYSTEM, name, frozenset(Action), "local", display_name=name)

    @classmethod
    def dicom_peer(cls, name: str, source: str, allow: Iterable[str]) -> Self:
        """A DICOM peer with its permissions (``store``, ``find``, ``worklist``…)."""
        actions = frozenset[Action]().union(
            *(DICOM_PERMISSION_ACTIONS.get(each, frozenset()) for each in allow)
        )
        return cls(ActorKind.DICOM_PEER, name, actions, source, display_name=name)

    @classmethod
    def hl7_peer(cls, name: str, source: str, receive: Iterable[str]) -> Self:
        """An HL7 peer with the kinds of message that it may send to us (``adt``, ``orm``…)."""
        actions = frozenset[Action]().union(
            *(HL7_PERMISSION_ACTIONS.get(each, frozenset()) for each in receive)
        )
        return cls(ActorKind.HL7_PEER, name, actions, source, display_name=name)


def authorize(actor: Actor, action: Action) -> None:
    """Raise ``NotAuthorized`` unless ``actor`` may do ``action``."""
    if action not in actor.actions:
        raise NotAuthorized(actor, action)


@dataclass(frozen=True, slots=True)
class Viewer:
    """The ticket into the read models: an actor who may do the kind of reading it was made for.

    Make it with ``of``.
    """

    actor: Actor
    action: Action

    @classmethod
    def of(cls, actor: Actor, action: Action) -> Self:
        """A ticket for ``action``; raises ``NotAuthorized``."""
        authorize(actor, action)
        return cls(actor, action)

    def require(self, action: Action) -> None:
        """Raise ``NotAuthorized`` unless the ticket's actor may do ``action``."""
        authorize(self.actor, action)


def actions_of(roles: Iterable[Role], scope: Iterable[Action] = ()) -> frozenset[Action]:
    """What the roles permit together, limited to ``scope`` unless that is empty."""
    permitted = frozenset[Action]().union(*(ROLE_ACTIONS[each] for each in roles))
    limit = frozenset(scope)
    return permitted & limit if limit else permitted


def check_password(password: str) -> None:
    """Raise ``WeakPassword`` unless the length is acceptable."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise WeakPassword(f"a password has at least {PASSWORD_LENGTH_MIN} characters")


def check_user_name(user_name: str) -> None:
    """Raise ``BadUserName`` unless the name is printable, without blanks, of usable length."""
    usable = user_name.isprintable() and not any(each.isspace() for each in user_name)
    if not (usable and 0 < len(user_name) <= USER_NAME_LENGTH_MAX):
        raise BadUserName(
            f"a user name has 1 to {USER_NAME_LENGTH_MAX} visible characters and no blanks"
        )


@dataclass(frozen=True, slots=True)
class User:
    """One account. ``disabled_at`` set: nobody can act as this user."""

    user_key: int
    user_name: str
    display_name: str
    roles: tuple[Role, ...]
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """One bearer token, without its secret."""

    token_key: int
    user_name: str
    scope: tuple[Action, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignIn:
    """A successful sign-in: the actor, and the secret that the session's cookie holds."""

    actor: Actor
    session_secret: str


@dataclass(frozen=True, slots=True)
class SignInRefused:
    """A refused sign-in. It is a result and no exception, because the failure must be committed.

    Attributes:
        retry_after_s: 0, or how long further attempts from this source are refused unseen.
    """

    retry_after_s: int


def lockout_s(failures: int) -> int:
    """How long after the last of ``failures`` failed attempts the next one is not even looked at.

    The first four mistakes are free, then the wait doubles from 1 s up to 15 minutes.
    """
    free = 4
    if failures <= free:
        return 0
    return min(2 ** min(failures - free - 1, 10), 900)
