"""Versions of an HL7 peer's configuration, and messages that must always mean the same."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import datetime
from typing import Any, ClassVar

from isocenter.domain.peers.model import BadPeer, Hl7Peer
from isocenter.domain.peers.model_meaning import Change, Meaning
from isocenter.errors import IsocenterError, Kind

GOLDEN_MAX = 500


class VersionUnknown(IsocenterError):
    """The peer has no such version."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class GoldenUnknown(IsocenterError):
    """There is no such golden message."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class TooManyGolden(IsocenterError):
    """A peer keeps at most ``GOLDEN_MAX`` golden messages."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class PeerVersion:
    """One version of a peer.

    Attributes:
        promoted_at: when it began to count; None for a draft. Of several the last counts.
        active: whether it is the one that counts.
    """

    peer: Hl7Peer
    version: int
    note: str
    made_by: str
    made_at: datetime
    promoted_at: datetime | None
    active: bool


@dataclass(frozen=True, slots=True)
class Golden:
    """A message of a peer whose meaning was looked at and found right."""

    golden_key: int
    peer: str
    title: str
    raw: bytes
    expected: Meaning
    kept_by: str
    kept_at: datetime


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What one message would mean otherwise than it does.

    Attributes:
        message_key: of the recorded message, or the golden one's key.
    """

    message_key: int
    message_type: str
    control_id: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying a configuration on recorded messages.

    Attributes:
        tried: how many messages were read.
        different: those that mean something else.
    """

    tried: int
    different: tuple[TrialResult, ...]


def described(peer: Hl7Peer) -> dict[str, Any]:
    """The peer as JSON values, by the names of its attributes."""
    return {
        name: sorted(value) if isinstance(value, frozenset) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        for name, value in asdict(peer).items()
    }


def peer_from(description: Mapping[str, Any]) -> Hl7Peer:
    """The peer of a description; what it does not say is as usual. Raises ``BadPeer``."""
    known = {each.name: each for each in fields(Hl7Peer)}
    unknown = sorted(set(description) - set(known))
    if unknown:
        raise BadPeer(f"an HL7 peer has no {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for name, value in description.items():
        usual = known[name].default
        if isinstance(usual, frozenset):
            if not isinstance(value, (list, tuple, set, frozenset)):
                raise BadPeer(f"{name} is a list")
            values[name] = frozenset(str(each) for each in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        elif isinstance(usual, float) and isinstance(value, int):
            values[name] = float(value)
        elif usual is not MISSING and usual is not None and type(value) is not type(usual):
            raise BadPeer(f"{name} is a {type(usual).__name__}")
        else:
            values[name] = value
    try:
        return Hl7Peer(**values)
    except TypeError as error:
        raise BadPeer("a peer needs a name and a host") from error


def difference(before: Hl7Peer, after: Hl7Peer) -> list[Change]:
    """The attributes that two versions of a peer have differently."""
    old, new = described(before), described(after)
    return [
        Change(name, _shown(old[name]), _shown(new[name])) for name in old if old[name] != new[name]
    ]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return "" if value is None else str(value)
