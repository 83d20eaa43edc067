"""Modality Performed Procedure Step as SCU: tells other systems what modalities said to us.

It is told in the words of the modality, under the same SOP Instance UID. A system that was away
learns all in one association: that the step began, and where it is now. Who only wants to know that
something was said is told by an event, and asks for the rest (``mpps``, N-GET).

Standard: PS3.4 F.7, F.9; IHE RAD TF-2 4.6, 4.7 (Performed Procedure Step Manager)
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, PeerUnknown
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.events import StepForwardDue, StepNotificationDue
from isocenter.domain.worklist.service import Untold
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse import scu
from isocenter.infra.db import Tx
from isocenter.infra.outbox import GiveUp
from isocenter.standards.dicom import performed_step as standard
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Category, Status, category_of
from isocenter.standards.dicom.json_model import from_json
from isocenter.standards.dicom.ul.items import RoleSelection
from isocenter.standards.dicom.values import DataSet

_ACTOR: Final = Actor.system("mpps")
_CLASS: Final = standard.MODALITY_PERFORMED_PROCEDURE_STEP
_NOTIFICATION: Final = standard.MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION
# We tell events: in this association the SCP is the one that asks for it.
_AS_SCP: Final = (RoleSelection(_NOTIFICATION, scu=False, scp=True),)
_MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
_TIMEOUT_S: Final = 15.0
_EMPTY_AT_FIRST: Final[Mapping[int, str]] = {
    standard.END_DATE: "DA",
    standard.END_TIME: "TM",
    standard.DISCONTINUATION_REASON: "SQ",
    standard.PERFORMED_SERIES: "SQ",
}


class StepRefused(IsocenterError):
    """The peer does not take what it is told."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class StepForwarder:
    """Tells a peer what is due; a reaction that acts outside the database.

    Args:
        ae_title: ours.
        tls: used for the peers that want TLS.
    """

    def __init__(self, *, ae_title: str, tls: ssl.SSLContext | None = None) -> None:
        self._ae_title = ae_title
        self._tls = tls

    def __call__(self, tx: Tx, event: StepForwardDue, /, *, now: datetime) -> None:
        """Tell; an ``IsocenterError`` is tried again later."""
        try:
            peer = peers.dicom_peer(tx, event.recipient)
        except PeerUnknown as error:
            raise GiveUp(f"there is no DICOM peer {event.recipient} any more") from error
        untold = worklist.untold(tx, _ACTOR, event.recipient, event.sop_instance_uid)
        if untold is None:
            return
        called = _call_to(peer, self._ae_title, self._tls)
        asyncio.run(_tell(called, untold))
        worklist.told(tx, _ACTOR, event.recipient, untold.step, now=now)


class StepNotifier:
    """Tells a peer that something was said; a reaction that acts outside the database.

    Args:
        ae_title: ours.
        tls: used for the peers that want TLS.
    """

    def __init__(self, *, ae_title: str, tls: ssl.SSLContext | None = None) -> None:
        self._ae_title = ae_title
        self._tls = tls

    def __call__(self, tx: Tx, event: StepNotificationDue, /, *, now: datetime) -> None:
        """Notify; an ``IsocenterError`` is tried again later."""
        try:
            peer = peers.dicom_peer(tx, event.recipient)
        except PeerUnknown as error:
            raise GiveUp(f"there is no DICOM peer {event.recipient} any more") from error
        asyncio.run(_notify(_call_to(peer, self._ae_title, self._tls), event))
        worklist.announced(tx, _ACTOR, event.recipient, event.sop_instance_uid, now=now)


def _call_to(peer: DicomPeer, ae_title: str, tls: ssl.SSLContext | None) -> scu.Peer:
    return scu.Peer(
        host=peer.host,
        port=peer.port,
        called_ae_title=peer.ae_title,
        calling_ae_title=ae_title,
        tls=tls if peer.tls else None,
        timeout_s=_TIMEOUT_S,
    )


async def _notify(called: scu.Peer, event: StepNotificationDue) -> None:
    """Standard: PS3.4 F.9.2 (the event's information has no attributes)."""
    contexts = [(_NOTIFICATION, scu.UNCOMPRESSED)]
    async with scu.associate(called, contexts, roles=_AS_SCP) as association:
        request = dimse.NEventReportRequest(
            message_id=association.next_message_id(),
            affected_sop_class_uid=_NOTIFICATION,
            affected_sop_instance_uid=event.sop_instance_uid,
            event_type_id=event.event_type_id,
        )
        response, _ = await association.request(_NOTIFICATION, request)
    if category_of(response.status) is Category.FAILURE:
        raise StepRefused(f"status {response.status:04X}H")


async def _tell(called: scu.Peer, untold: Untold) -> None:
    uid = untold.step.sop_instance_uid
    async with scu.associate(called, [(_CLASS, scu.UNCOMPRESSED)]) as association:
        if untold.is_new:
            create = dimse.NCreateRequest(
                message_id=association.next_message_id(),
                affected_sop_class_uid=_CLASS,
                affected_sop_instance_uid=uid,
                has_data_set=True,
            )
            # Known already: the answer to an earlier attempt was lost.
            known = Status.DUPLICATE_SOP_INSTANCE
            beginning = from_json(_beginning(untold.step.attributes))
            await _request(association, create, beginning, fine=known)
        if untold.is_changed:
            update = dimse.NSetRequest(
                message_id=association.next_message_id(),
                requested_sop_class_uid=_CLASS,
                requested_sop_instance_uid=uid,
            )
            await _request(association, update, from_json(_later(untold.step.attributes)))


async def _request(
    association: scu.ClientAssociation,
    command: dimse.Request,
    data_set: DataSet,
    *,
    fine: int | None = None,
) -> None:
    response, _ = await association.request(_CLASS, command, data_set)
    if response.status == fine or category_of(response.status) is not Category.FAILURE:
        return
    # PS3.4 Table F.7.2-2: final already, by an earlier attempt whose answer was lost.
    if getattr(response, "error_id", None) == _MAY_NO_LONGER_BE_UPDATED:
        return
    comment = getattr(response, "error_comment", "")
    raise StepRefused(f"status {response.status:04X}H {comment}".rstrip())


def _beginning(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What was said when the step began, as far as it is known: what came later is left empty."""
    empty = {f"{tag:08X}": {"vr": vr} for tag, vr in _EMPTY_AT_FIRST.items()}
    status = {f"{standard.STATUS:08X}": {"vr": "CS", "Value": [standard.IN_PROGRESS]}}
    return {**attributes, **empty, **status}


def _later(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What may be said later."""
    fixed = {f"{tag:08X}" for tag in standard.FIXED}
    return {key: value for key, value in attributes.items() if key not in fixed}
