"""What the pages, the API and the command line can ask of the HL7 interface itself.

Gateways do not know each other: here the web gateway's questions meet the HL7 gateway's answers.
"""

import ssl
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Self

from isocenter.app.hl7_receiving import receive_options
from isocenter.app.settings import Settings
from isocenter.app.tls_contexts import client_context
from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer, RecordedMessage
from isocenter.domain.peers.model_meaning import Influence, Meaning
from isocenter.domain.peers.model_replay import checked_reason
from isocenter.domain.peers.model_versions import Trial
from isocenter.gateways.hl7 import meaning, transmit, trial
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool

TRIED_DAYS = 7
_TRIED_MAX = 1_000
_SENT_TRIED_MAX = 200
_ADDRESS = "workbench"


@dataclass(frozen=True, slots=True)
class Hl7Desk:
    """Reads, tries and sends messages for people.

    Attributes:
        options: how the interface understands messages.
        tls: for peers that want it.
    """

    options: ReceiveOptions
    clock: Clock
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> Self:
        """The desk of an installation."""
        return cls(receive_options(settings), clock, client_context(settings))

    @property
    def zone(self) -> tzinfo:
        """Where the department's clock stands."""
        return self.options.zone

    def meaning(self, message: RecordedMessage, peer: Hl7Peer) -> Meaning:
        """What a recorded message means to the peer's configuration."""
        at = message.received_at
        return meaning.meaning_of(message.raw, (peer, _ADDRESS), self.options, now=at)

    def influences(self, message: RecordedMessage, peer: Hl7Peer) -> list[Influence]:
        """What each field of a recorded message is for."""
        at = message.received_at
        return meaning.influences(message.raw, (peer, _ADDRESS), self.options, now=at)

    def tried(self, tx: Tx, actor: Actor, versions: tuple[Hl7Peer, Hl7Peer]) -> tuple[Trial, Trial]:
        """What the second version would change: in what came in lately, and in what was sent."""
        now = self.clock()
        since = now - timedelta(days=TRIED_DAYS)
        received = trial.tried_on_received(
            tx, actor, versions, self.options, since=since, limit=_TRIED_MAX
        )
        sent = trial.tried_on_sent(tx, actor, versions, now=now, limit=_SENT_TRIED_MAX)
        return received, sent

    def verified(self, tx: Tx, actor: Actor, name: str) -> Trial:
        """The golden messages of a peer that mean something else today."""
        return trial.verified(tx, actor, peers.hl7_peer(tx, name), self.options)

    def keep_golden(self, tx: Tx, actor: Actor, message_key: int, title: str) -> int:
        """Keep a recorded message and what it means today; gives its key."""
        now = self.clock()
        message = peers.message(tx, actor, message_key, now=now)
        peer = peers.hl7_peer(tx, message.peer)
        # Read as of the moment at which it is kept, as it will be whenever it is verified.
        told = meaning.meaning_of(message.raw, (peer, _ADDRESS), self.options, now=now)
        kept = (title or message.message_type, message.raw, told)
        return peers.keep_golden(tx, actor, peer, kept, now=now)

    async def send(
        self, pool: Pool, actor: Actor, name: str, written: bytes, *, reason: str, is_test: bool
    ) -> int:
        """Send a message to a peer now; gives the key under which it and its answer are kept."""
        authorize(actor, Action.MESSAGE_REPLAY)
        why = checked_reason(reason)
        peer = await pool.read(peers.hl7_peer, name)
        wanted = transmit.prepared(peer, written, now=self.clock(), is_test=is_test)
        sent = await transmit.transmit(wanted, tls=self.tls)
        return await pool.run(transmit.record, actor, sent, why, now=self.clock())
