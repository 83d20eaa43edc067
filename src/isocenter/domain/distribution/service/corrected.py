"""Tells peers that hold a study what its images should say: the same images once more, corrected.

What waits for its first sending says it anyway. Rejected images are told by notes, not here.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_outgoing import SeriesGrowth
from isocenter.domain.distribution._store import corrected as _corrected
from isocenter.domain.distribution._store import transfers as _transfers
from isocenter.domain.distribution.events import ImagesQueued
from isocenter.domain.distribution.model import Priority, Route, TransferKind
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import PeerUnknown
from isocenter.domain.peers.model_quirks import NOT_TOLD_AGAIN
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_SENDER = Actor.system("distribution.corrections")
_VIEWER = Viewer.of(_SENDER, Action.STUDY_READ)


def resend_corrected(tx: Tx, study_instance_uid: str, *, now: datetime) -> int:
    """How many deliveries were queued so that every peer that holds the study learns what changed.

    Each gets the series that it was sent before, under the same route, and the notification that
    the study is available where it got one. One that waits untouched already is enough.

    Standard: PS3.3 C.12.1.1.9 (Original Attributes Sequence), IHE RAD TF-2 4.49
    """
    queued = 0
    for held in _corrected.holders(tx, study_instance_uid):
        try:
            peer = peers.dicom_peer(tx, held.recipient)
        except PeerUnknown:
            continue  # removed since: there is nobody to tell
        if NOT_TOLD_AGAIN in peer.quirks:
            continue
        _transfers.lock_destination(tx, held.recipient)
        if _corrected.waits(tx, held, study_instance_uid):
            continue
        grown = archive.growth(tx, _VIEWER, study_instance_uid, after_key=0, not_from=peer.ae_title)
        known = set(held.series_instance_uids)
        chosen = [each for each in grown if each.series_instance_uid in known]
        if chosen:
            queued += _queue(tx, held, study_instance_uid, chosen, now=now)
    return queued


def send_split(
    tx: Tx, study_instance_uid: str, to_study_instance_uid: str, *, now: datetime
) -> int:
    """How many deliveries were queued so that who holds images of the study gets them anew.

    They were split off and are shown in the other study: a note tells that they are not to be used
    where they were (``notes``), and this brings what replaces them, by the route that brought them.

    Standard: IHE RAD TF-3 4.66 (Incorrect Modality Worklist Entry), TF-2 4.49
    """
    became = {
        before: after
        for each in archive.splits_of(tx, _VIEWER, study_instance_uid)
        if each.to_study_instance_uid == to_study_instance_uid and each.undone_at is None
        for before, after in each.series.items()
    }
    queued = 0
    for held in _corrected.holders(tx, study_instance_uid):
        try:
            peer = peers.dicom_peer(tx, held.recipient)
        except PeerUnknown:
            continue  # removed since: there is nobody to tell
        _transfers.lock_destination(tx, held.recipient)
        route = _route(held)
        newest = _transfers.newest(tx, TransferKind(held.kind), route, to_study_instance_uid)
        grown = archive.growth(
            tx,
            _VIEWER,
            to_study_instance_uid,
            after_key=newest.through_key if newest else 0,
            not_from=peer.ae_title,
        )
        wanted = {became[uid] for uid in held.series_instance_uids if uid in became}
        chosen = [each for each in grown if each.series_instance_uid in wanted]
        if chosen:
            after = newest.through_key if newest else 0
            queued += _queue(tx, held, to_study_instance_uid, chosen, after_key=after, now=now)
    return queued


def _queue(
    tx: Tx,
    held: _corrected.Held,
    study: str,
    chosen: Sequence[SeriesGrowth],
    *,
    after_key: int = 0,
    now: datetime,
) -> int:
    route = _route(held)
    portion = _transfers.Portion(
        study_instance_uid=study,
        accession_number=(chosen[0].accession_number or "").strip(),
        series_instance_uids=sorted(each.series_instance_uid for each in chosen),
        after_key=after_key,
        through_key=max(each.newest_key for each in chosen),
        instances=sum(each.instances for each in chosen),
    )
    kind = TransferKind(held.kind)
    key = _transfers.queue(tx, kind, route, portion, now=now)
    if key is None:
        return 0
    event = ImagesQueued(key, kind.value, study, portion.accession_number, held.recipient)
    outbox.append(tx, event, now=now)
    return 1


def _route(held: _corrected.Held) -> Route:
    by_urgency = {each.urgency: each for each in Priority}
    return Route(
        name=held.route_name,
        recipient=held.recipient,
        priority=by_urgency[held.urgency],
        transfer_syntax_uid=held.transfer_syntax_uid,
        wants_commitment=False,  # the same objects: what was committed to stays so
    )
