"""Where a fact comes from, as far as peers are concerned: who said it need not be told it."""

from collections.abc import Iterable

from isocenter.domain.access.model import Actor, ActorKind
from isocenter.domain.peers.model import Hl7Peer


def asserting_peer(actor: Actor) -> str:
    """The name of the HL7 peer that acts; '' when somebody else does."""
    return actor.name if actor.kind is ActorKind.HL7_PEER else ""


def is_same_system(one: Hl7Peer, other: Hl7Peer) -> bool:
    """Whether two peers are doors of one application: they have the same MSH-3 and MSH-4.

    A system that sends from one address and listens at another is two peers here.
    """
    if one.name == other.name:
        return True
    said = (one.application or "", one.facility or "")
    return bool(said[0]) and said == (other.application or "", other.facility or "")


def listeners(peers: Iterable[Hl7Peer], kind: str, asserted_by: str) -> list[Hl7Peer]:
    """The enabled peers that get messages of a kind about what ``asserted_by`` said.

    That peer is left out, and so is any other door of the same system. '' leaves nobody out.
    """
    known = list(peers)
    source = next((each for each in known if each.name == asserted_by), None)
    return [
        each
        for each in known
        if each.enabled
        and kind in each.send
        and not (source is not None and is_same_system(each, source))
    ]
