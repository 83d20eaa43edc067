"""Another configuration of a peer, tried on what the peer really sent and got, without doing it.

What it would change is told message by message, in terms of what the messages mean; nothing is
applied, sent or recorded.
"""

from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.peers.model_meaning import Change, changes
from isocenter.domain.peers.model_versions import Trial, TrialResult
from isocenter.errors import IsocenterError
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.encode_oru import Envelope, encode_oru
from isocenter.gateways.hl7.meaning import meaning_of
from isocenter.infra.db import Tx
from isocenter.readmodels import report_content
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


def tried_on_reports(
    tx: Tx, actor: Actor, versions: tuple[Hl7Peer, Hl7Peer], *, now: datetime, limit: int
) -> Trial:
    """How messages with the latest reports that the peer got would read otherwise."""
    before, after = versions
    viewer = Viewer.of(actor, Action.DELIVERY_READ)
    sent = distribution.reports_sent(tx, viewer, before.name, limit=limit)
    different: list[TrialResult] = []
    reader = Viewer.of(Actor.system("hl7.trial"), Action.REPORT_READ)
    tried = 0
    for each in sent:
        content = report_content.for_delivery(tx, reader, each.report_id, each.version)
        if content is None:
            continue
        tried += 1
        old, new = (_encoded(content, _envelope(peer, now)) for peer in (before, after))
        if isinstance(old, bytes) and isinstance(new, bytes):
            found = [
                Change(field.place, _short(field.before), _short(field.after))
                for field in differences(parse(old), parse(new))
            ]
        else:
            found = [] if old == new else [Change("message", _told(old), _told(new))]
        if found:
            about = (each.delivery_key, "ORU^R01", each.accession_number)
            different.append(TrialResult(*about, tuple(found)))
    return Trial(tried, tuple(different))


def verified(tx: Tx, actor: Actor, peer: Hl7Peer, options: ReceiveOptions) -> Trial:
    """The golden messages of a peer that mean something else today than when they were kept."""
    kept = peers.golden_messages(tx, actor, peer.name)
    different: list[TrialResult] = []
    for each in kept:
        today = meaning_of(each.raw, (peer, _ADDRESS), options, now=each.kept_at)
        if found := changes(each.expected, today):
            different.append(TrialResult(each.golden_key, each.title, "", tuple(found)))
    return Trial(len(kept), tuple(different))


def _encoded(content: report_content.ReportContent, envelope: Envelope) -> bytes | str:
    """The message, or why there is none."""
    try:
        return encode_oru(content, envelope)
    except IsocenterError as error:
        return error.message


def _envelope(peer: Hl7Peer, now: datetime) -> Envelope:
    return Envelope(
        sending=("", ""),
        receiving=(peer.application or "", peer.facility or ""),
        control_id="TRIAL",
        made_at=now,
        version=peer.version,
        character_set=peer.character_set,
        statuses=peer.result_statuses,
    )


def _told(made: bytes | str) -> str:
    return "sent" if isinstance(made, bytes) else f"not sent: {made}"


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_LENGTH_MAX else text[:_TEXT_LENGTH_MAX] + "…"
