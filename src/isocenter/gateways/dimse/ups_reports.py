"""Unified Procedure Step Event as SCP: tells subscribed peers what happens to workitems.

Each report goes out over an association that we open and in which we are the SCP. A peer that stays
away is tried for a day; what it refuses is not said again.

Standard: PS3.4 CC.2.4, PS3.7 D.3.3.4
"""

import asyncio
import ssl
from datetime import datetime, timedelta
from typing import ClassVar, Final

from isocenter.domain.peers import service as peers
from isocenter.domain.worklist.events import WorkitemReportDue
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse import scu
from isocenter.gateways.dimse.commitment_reports import OutgoingOptions, call_to
from isocenter.infra.db import Tx
from isocenter.infra.outbox import GiveUp
from isocenter.standards.dicom import unified_procedure_step as standard
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Category, Status, category_of
from isocenter.standards.dicom.json_model import from_json
from isocenter.standards.dicom.ul.items import RoleSelection

TRIED_FOR: Final = timedelta(days=1)
_TIMEOUT_S: Final = 10.0
# We tell events: in this association the SCP is the one that asks for it.
_CONTEXTS: Final = ((standard.EVENT, scu.UNCOMPRESSED),)
_AS_SCP: Final = (RoleSelection(standard.EVENT, scu=False, scp=True),)
# With which a peer says that it cannot now.
_LATER: Final = frozenset({Status.PROCESSING_FAILURE, Status.RESOURCE_LIMITATION})


class ReportNotTaken(IsocenterError):
    """The peer cannot take the report now."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class WorkitemReporter:
    """Tells a peer what is due; a reaction that acts outside the database.

    Args:
        ae_title: ours.
        tls: used for the peers that want TLS.
    """

    def __init__(self, *, ae_title: str, tls: ssl.SSLContext | None = None) -> None:
        self._options = OutgoingOptions(ae_title=ae_title, timeout_s=_TIMEOUT_S)
        self._tls = tls

    def __call__(self, tx: Tx, event: WorkitemReportDue, /, *, now: datetime) -> None:
        """Tell; an ``IsocenterError`` is tried again later, ``GiveUp`` is not."""
        if now - event.due_at > TRIED_FOR:
            raise GiveUp(f"{event.recipient} could not be told within a day")
        peer = peers.dicom_peer_titled(tx, event.recipient)
        if peer is None or not peer.enabled:
            raise GiveUp(f"there is no DICOM peer with the AE title {event.recipient} any more")
        status = asyncio.run(_tell(call_to(peer, self._options, self._tls), event))
        if status in _LATER:
            raise ReportNotTaken(f"the report was answered with status {status:04X}H")
        if category_of(status) is Category.FAILURE:
            raise GiveUp(f"the report was answered with status {status:04X}H")


async def _tell(called: scu.Peer, event: WorkitemReportDue) -> int:
    """The status that the peer answers with, however it ends the association after that."""
    answered: list[int] = []
    try:
        async with scu.associate(called, _CONTEXTS, roles=_AS_SCP) as association:
            request = dimse.NEventReportRequest(
                message_id=association.next_message_id(),
                # PS3.4 CC.2.4.3: workitems are instances of the Push SOP class.
                affected_sop_class_uid=standard.PUSH,
                affected_sop_instance_uid=event.sop_instance_uid,
                event_type_id=event.event_type_id,
                has_data_set=True,
            )
            information = from_json(event.information)
            response, _ = await association.request(standard.EVENT, request, information)
            answered.append(response.status)
    except IsocenterError:
        if not answered:
            raise
    return answered[0]
