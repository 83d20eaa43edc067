"""Rules for images: who gets which, when, how; and queueing what they select."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import UnknownStudy
from isocenter.domain.archive.model_outgoing import SeriesGrowth
from isocenter.domain.distribution._store import routes as _routes
from isocenter.domain.distribution._store import transfers as _transfers
from isocenter.domain.distribution.events import ImagesQueued
from isocenter.domain.distribution.model import (
    Moment,
    Priority,
    Route,
    RouteExists,
    TransferKind,
    UnknownRoute,
    check_route,
)
from isocenter.domain.distribution.service.audited import audit
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, PeerUnknown
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_ROUTER = Actor.system("distribution.router")


def add_route(tx: Tx, actor: Actor, route: Route, *, now: datetime) -> None:
    """Have the images that fit sent from now on; raises ``BadRoute``, ``RouteExists``.

    Raises ``PeerUnknown`` when there is no such DICOM peer. Images that are here already are not
    sent: only studies that grow are looked at.
    """
    authorize(actor, Action.PEER_WRITE)
    check_route(route)
    peers.dicom_peer(tx, route.recipient)
    if not _routes.insert(tx, route, by=actor.name, now=now):
        raise RouteExists(f"there is a route {route.name} already")
    _transfers.ensure_destination(tx, route.recipient)
    audit(tx, actor, "route.add", "route", route.name, now)


def remove_route(tx: Tx, actor: Actor, name: str, *, now: datetime) -> None:
    """Queue nothing more by this rule; what is queued goes. Raises ``UnknownRoute``."""
    authorize(actor, Action.PEER_WRITE)
    if not _routes.delete(tx, name):
        raise UnknownRoute(f"there is no route {name}")
    audit(tx, actor, "route.remove", "route", name, now)


def enable_route(tx: Tx, actor: Actor, name: str, *, enabled: bool, now: datetime) -> None:
    """Switch a rule on or off. Raises ``UnknownRoute``.

    What came while it was off follows when the study grows again; to hold images back without
    missing any, pause the destination instead.
    """
    authorize(actor, Action.PEER_WRITE)
    if not _routes.set_enabled(tx, name, enabled=enabled):
        raise UnknownRoute(f"there is no route {name}")
    audit(tx, actor, "route.enable" if enabled else "route.disable", "route", name, now)


def routes(tx: Tx, actor: Actor) -> list[Route]:
    """All rules by name."""
    authorize(actor, Action.PEER_READ)
    return _routes.routes(tx)


def route_images(
    tx: Tx, study_instance_uid: str, *, complete: bool, local_time: time, now: datetime
) -> int:
    """How many transfers were queued, or grew, for what is new in a study.

    Repeating it adds nothing. Images never go back to the peer that sent them.

    Args:
        tx: open transaction.
        study_instance_uid: a study that has grown, or that is complete.
        complete: no more images are expected.
        local_time: the time of day where the department lives.
        now: the moment.
    """
    queued = 0
    for route in _routes.routes(tx):
        if not route.enabled or (route.moment is Moment.COMPLETE and not complete):
            continue
        try:
            peer = peers.dicom_peer(tx, route.recipient)
        except PeerUnknown:
            continue  # removed since: there is nobody to send to
        if route.sends_images:
            queued += _grow(tx, route, peer, study_instance_uid, local_time, now=now)
        if route.notifies and complete:
            queued += _notify(tx, route, peer, study_instance_uid, local_time, now=now)
    return queued


def send_study(
    tx: Tx,
    actor: Actor,
    study_instance_uid: str,
    *,
    recipient: str,
    wants_commitment: bool = False,
    now: datetime,
) -> int:
    """The key of the delivery by which a person has a whole study sent to a DICOM peer.

    Raises ``PeerUnknown``, ``UnknownStudy``.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    peers.dicom_peer(tx, recipient)
    viewer = Viewer.of(_ROUTER, Action.STUDY_READ)
    grown = archive.growth(tx, viewer, study_instance_uid, after_key=0, not_from="")
    if not grown:
        raise UnknownStudy("there are no images of such a study")
    _transfers.ensure_destination(tx, recipient)
    by_hand = Route(
        name="", recipient=recipient, priority=Priority.HIGH, wants_commitment=wants_commitment
    )
    portion = _portion(study_instance_uid, grown, after_key=0)
    key = _queue(tx, TransferKind.IMAGES, by_hand, portion, now=now)
    audit(tx, actor, "study.send", "study", study_instance_uid, now)
    return key or 0


def _grow(
    tx: Tx, route: Route, peer: DicomPeer, study: str, local_time: time, *, now: datetime
) -> int:
    _transfers.lock_destination(tx, route.recipient)
    newest = _transfers.newest(tx, TransferKind.IMAGES, route, study)
    after_key = newest.through_key if newest else 0
    selected = _selected(tx, route, peer, study, local_time, after_key=after_key)
    if not selected:
        return 0
    portion = _portion(study, selected, after_key=after_key)
    if newest is not None and newest.untouched:
        _transfers.extend(tx, newest.delivery_key, portion)
        return 1
    return int(_queue(tx, TransferKind.IMAGES, route, portion, now=now) is not None)


def _notify(
    tx: Tx, route: Route, peer: DicomPeer, study: str, local_time: time, *, now: datetime
) -> int:
    _transfers.lock_destination(tx, route.recipient)
    newest = _transfers.newest(tx, TransferKind.AVAILABILITY, route, study)
    after_key = newest.through_key if newest else 0
    if not _selected(tx, route, peer, study, local_time, after_key=after_key):
        return 0
    # A notification names the whole study, however often it is completed.
    whole = _selected(tx, route, peer, study, local_time, after_key=0)
    portion = replace(_portion(study, whole, after_key=0), after_key=after_key)
    return int(_queue(tx, TransferKind.AVAILABILITY, route, portion, now=now) is not None)


def _selected(
    tx: Tx, route: Route, peer: DicomPeer, study: str, local_time: time, *, after_key: int
) -> list[SeriesGrowth]:
    viewer = Viewer.of(_ROUTER, Action.STUDY_READ)
    grown = archive.growth(tx, viewer, study, after_key=after_key, not_from=peer.ae_title)
    return [each for each in grown if route.conditions.include(each, local_time)]


def _portion(study: str, selected: Sequence[SeriesGrowth], *, after_key: int) -> _transfers.Portion:
    return _transfers.Portion(
        study_instance_uid=study,
        accession_number=(selected[0].accession_number or "").strip(),
        series_instance_uids=sorted(each.series_instance_uid for each in selected),
        after_key=after_key,
        through_key=max(each.newest_key for each in selected),
        instances=sum(each.instances for each in selected),
    )


def _queue(
    tx: Tx, kind: TransferKind, route: Route, portion: _transfers.Portion, *, now: datetime
) -> int | None:
    key = _transfers.queue(tx, kind, route, portion, now=now)
    if key is not None:
        event = ImagesQueued(
            key,
            kind.value,
            portion.study_instance_uid,
            portion.accession_number,
            route.recipient,
        )
        outbox.append(tx, event, now=now)
    return key
