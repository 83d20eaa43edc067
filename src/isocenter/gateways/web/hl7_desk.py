"""What the pages and the API ask of the HL7 interface: gateways do not know each other.

``app`` hands in something that answers.
"""

from datetime import tzinfo
from typing import Protocol

from isocenter.domain.access.model import Actor
from isocenter.domain.peers.model import Hl7Peer, RecordedMessage
from isocenter.domain.peers.model_meaning import Influence, Meaning
from isocenter.domain.peers.model_versions import Trial
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool


class Hl7Desk(Protocol):
    """Reads, tries and sends messages for people."""

    @property
    def zone(self) -> tzinfo:
        """Where the department's clock stands."""
        ...

    def meaning(self, message: RecordedMessage, peer: Hl7Peer) -> Meaning:
        """What a recorded message means to the peer's configuration."""
        ...

    def influences(self, message: RecordedMessage, peer: Hl7Peer) -> list[Influence]:
        """What each field of a recorded message is for."""
        ...

    def tried(self, tx: Tx, actor: Actor, versions: tuple[Hl7Peer, Hl7Peer]) -> tuple[Trial, Trial]:
        """What the second version would change: in what came in lately, and in reports sent."""
        ...

    def verified(self, tx: Tx, actor: Actor, name: str) -> Trial:
        """The golden messages of a peer that mean something else today."""
        ...

    def keep_golden(self, tx: Tx, actor: Actor, message_key: int, title: str) -> int:
        """Keep a recorded message and what it means today; gives its key."""
        ...

    async def send(
        self, pool: Pool, actor: Actor, name: str, written: bytes, *, reason: str, is_test: bool
    ) -> int:
        """Send a message to a peer now; gives the key under which it and its answer are kept."""
        ...
