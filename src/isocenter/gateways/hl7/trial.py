"""Another configuration of a peer, tried on what the peer really sent and got, without doing it.

What it would change is told message by message, in terms of what the messages mean; nothing is
applied, sent or recorded.
"""

from datetime import UTC, datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model_messages import Telling
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.peers.model_meaning import Change, changes
from isocenter.domain.peers.model_versions import Trial, TrialResult
from isocenter.errors import IsocenterError
from isocenter.gateways.hl7 import outbound
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.meaning import meaning_of
from isocenter.infra.db import Tx
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.datatypes import parse_dtm
from isocenter.standards.hl7v2.difference import differences
from isocenter.standards.hl7v2.er7 import parse

_ADDRESS: Final = "trial"
_TEXT_LENGTH_MAX: Final = 200


def tried_on_received(
    tx: Tx,
    actor: Actor,
    versions: tuple[Hl7Peer, Hl7Peer],
    options: ReceiveOptions,
    *,
    since: datetime,
    limit: int,
) -> Trial:
    """What messages that the peer sent since then mean to the second of two versions otherwise."""
    before, after = versions
    recorded = peers.recorded_traffic(tx, actor, before.name, since=since, limit=limit)
    different: list[TrialResult] = []
    for each in recorded:
        old, new = (
            meaning_of(each.raw, (peer, _ADDRESS), options, now=each.received_at)
            for peer in (before, after)
        )
        if found := changes(old, new):
            about = (each.message_key, each.message_type, each.control_id)
            different.append(TrialResult(*about, tuple(found)))
    return Trial(len(recorded), tuple(different))


def tried_on_sent(
    tx: Tx, actor: Actor, versions: tuple[Hl7Peer, Hl7Peer], *, now: datetime, limit: int
) -> Trial:
    """How the latest messages that the peer acknowledged would read otherwise, whatever they tell.

    They are made of what is known now, so that only the configuration makes the difference.
    """
    before, after = versions
    viewer = Viewer.of(actor, Action.DELIVERY_READ)
    different: list[TrialResult] = []
    tried = 0
    for each in distribution.tellings_sent(tx, viewer, before.name, limit=limit):
        tried += 1
        old, new = (_made(tx, each, peer, now) for peer in (before, after))
        if isinstance(old, bytes) and isinstance(new, bytes):
            found = [
                Change(field.place, _short(field.before), _short(field.after))
                for field in differences(parse(old), parse(new))
            ]
        else:
            found = [] if old == new else [Change("message", _told(old), _told(new))]
        if found:
            made = old if isinstance(old, bytes) else new
            kind = outbound.facts_of(made).message_type if isinstance(made, bytes) else ""
            about = (each.delivery_key, kind, each.accession_number)
            different.append(TrialResult(*about, tuple(found)))
    return Trial(tried, tuple(different))


def verified(tx: Tx, actor: Actor, peer: Hl7Peer, options: ReceiveOptions) -> Trial:
    """The golden messages of a peer that mean something else today than when they were kept.

    One that we sent is made again, of what is known now and as the peer is configured now; what is
    told of it is what is written otherwise.
    """
    kept = peers.golden_messages(tx, actor, peer.name)
    different: list[TrialResult] = []
    for each in kept:
        rewritten = _sent_again(tx, actor, peer, each.raw)
        if rewritten is None:
            today = meaning_of(each.raw, (peer, _ADDRESS), options, now=each.kept_at)
            found = changes(each.expected, today)
        else:
            found = rewritten
        if found:
            different.append(TrialResult(each.golden_key, each.title, "", tuple(found)))
    return Trial(len(kept), tuple(different))


def _sent_again(tx: Tx, actor: Actor, peer: Hl7Peer, raw: bytes) -> list[Change] | None:
    """What a message that we sent would say otherwise today; None when it is none of ours."""
    try:
        before = parse(raw)
    except RemoteProtocolError:
        return None
    header = before.header
    viewer = Viewer.of(actor, Action.DELIVERY_READ)
    telling = distribution.telling_sent_as(tx, viewer, peer.name, header.text(10))
    if telling is None:
        return None
    # Made as of the moment at which it was made, so that only what it says can be different.
    made_at = parse_dtm(header.text(7), UTC)
    if made_at is None or telling.kind.permission not in peer.send:
        return [Change("message", "sent", "not sent: the peer gets no messages of this kind")]
    sending = (header.text(3), header.text(4))
    envelope = outbound.envelope_of(peer, sending, header.text(10), made_at.value)
    try:
        after = parse(outbound.message_of(tx, telling, envelope))
    except IsocenterError as error:
        return [Change("message", "sent", f"not sent: {error.message}")]
    return [
        Change(each.place, _short(each.before), _short(each.after))
        for each in differences(before, after)
    ]


def _made(tx: Tx, telling: Telling, peer: Hl7Peer, now: datetime) -> bytes | str:
    """The message, or why there is none."""
    if telling.kind.permission not in peer.send:
        return "the peer gets no messages of this kind"
    try:
        return outbound.message_of(tx, telling, outbound.envelope_of(peer, ("", ""), "TRIAL", now))
    except IsocenterError as error:
        return error.message


def _told(made: bytes | str) -> str:
    return "sent" if isinstance(made, bytes) else f"not sent: {made}"


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_LENGTH_MAX else text[:_TEXT_LENGTH_MAX] + "…"
