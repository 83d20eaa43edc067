"""C-FIND as SCP: decodes the identifier, has the query run in a thread, streams what it finds.

Each query has one thread from a bounded pool; a peer that reads slowly slows its query down, and
C-CANCEL, a lost association or an abort ends it. What is searched and how is the query port's
business.

Standard: PS3.4 C.4.1, K.4.1; PS3.7 9.1.2
"""

import asyncio
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from isocenter.domain.peers.model_quirks import PLAIN_PENDING
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import metrics
from isocenter.gateways.dimse.association import Association
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.n_services import NormalizedService
from isocenter.gateways.dimse.ports import Grant, KnowsKeys, Query, QueryRequest, Service
from isocenter.gateways.dimse.quirks import fit_answer, read_identifier
from isocenter.gateways.dimse.services import Receiver, refuse
from isocenter.gateways.dimse.status_table import FIND
from isocenter.infra.log import get_logger
from isocenter.standards import ProtocolError
from isocenter.standards.dicom import unified_procedure_step
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.query_retrieve import BASELINE, Extensions, agreed_extensions
from isocenter.standards.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from isocenter.standards.dicom.ul.connection import NegotiatedContext
from isocenter.standards.dicom.ul.negotiation import Offer
from isocenter.standards.dicom.ul.pdu import ContextResult
from isocenter.standards.dicom.values import DataSet, encode_dataset

PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
MODALITY_WORKLIST_FIND: Final = "1.2.840.10008.5.1.4.31"

# Whoever looks at a list sees its beginning before its end is found: about 30 studies.
_FIRST_LOT_BYTES: Final = 1 << 13
_log = get_logger(__name__)
_OFFER: Final = Offer(
    frozenset({
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    })
)
_SERVICE_OF: Final[Mapping[str, Service]] = {
    PATIENT_ROOT_FIND: Service.FIND,
    STUDY_ROOT_FIND: Service.FIND,
    MODALITY_WORKLIST_FIND: Service.WORKLIST,
    unified_procedure_step.PULL: Service.UPS,
    unified_procedure_step.WATCH: Service.UPS,
    unified_procedure_step.QUERY: Service.UPS,
}


def extensions_of(association: Association, sop_class_uid: str) -> Extensions:
    """What was negotiated with the peer beyond the baseline of a SOP class.

    Standard: PS3.7 D.3.3.5
    """
    agreed = association.agreed.extended if association.agreed else ()
    for each in agreed:
        if each.sop_class_uid == sop_class_uid:
            return agreed_extensions(sop_class_uid, each.information)
    return BASELINE


class FindService:
    """Answers queries of the information models for which there is a query port.

    Args:
        queries: the ports, by SOP class UID.
        limits: what peers are granted.
        others: performs what else the SOP classes have beside C-FIND.
    """

    def __init__(
        self,
        queries: Mapping[str, Query],
        limits: Limits,
        others: NormalizedService | None = None,
    ) -> None:
        self.queries = queries
        self.limits = limits
        self.others = others
        self.threads = ThreadPoolExecutor(limits.query_threads, thread_name_prefix="query")

    def offer(self, abstract_syntax: str, grant: Grant) -> Offer | ContextResult | None:
        """The models that are served, to peers that may use them."""
        if abstract_syntax not in self.queries:
            return None
        service = _SERVICE_OF.get(abstract_syntax, Service.FIND)
        return _OFFER if service in grant.services else ContextResult.USER_REJECTION

    def begin(
        self, association: Association, context: NegotiatedContext, request: dimse.Request
    ) -> Receiver | None:
        """Collects the identifier, then starts the query."""
        shared = self.others is not None and context.abstract_syntax in self.others.classes
        if shared and self.others and not isinstance(request, dimse.CFindRequest):
            return self.others.begin(association, context, request)
        if not isinstance(request, dimse.CFindRequest) or not request.has_data_set:
            return refuse(association, context, request, Status.UNRECOGNIZED_OPERATION)
        return _IdentifierReceiver(self, association, context, request)

    def close(self) -> None:
        """Ends the threads once their queries have noticed that their peers are gone."""
        self.threads.shutdown(wait=False, cancel_futures=True)


class _IdentifierReceiver:
    """One query, from its identifier to its last response."""

    __slots__ = (
        "_association", "_cancelled", "_context", "_data", "_pending", "_request", "_rest",
        "_service",
    )  # fmt: skip

    def __init__(
        self,
        service: FindService,
        association: Association,
        context: NegotiatedContext,
        request: dimse.CFindRequest,
    ) -> None:
        self._service = service
        self._association = association
        self._context = context
        self._request = request
        self._data = bytearray()
        self._cancelled = False
        self._rest: list[bytes] = []
        self._pending = Status.PENDING

    def write(self, data: memoryview | bytes) -> None:
        """The next piece of the identifier; beyond the limit only the fact is kept."""
        if len(self._data) <= self._service.limits.identifier_bytes_max:
            self._data += data

    def finish(self) -> None:
        """Starts the query in a thread."""
        if len(self._data) > self._service.limits.identifier_bytes_max:
            self._end(Status.OUT_OF_RESOURCES, "the identifier is too large")
            return
        self._association.on_cancel(self._request.message_id, self._cancel)
        self._service.threads.submit(self._run)

    def abandon(self) -> None:
        """Nothing was started yet."""

    def _cancel(self) -> None:
        self._cancelled = True

    def _run(self) -> None:
        """In the query thread: search, encode, hand over in lots, report the end."""
        status, comment = Status.SUCCESS, ""
        try:
            association = self._association
            quirks = association.grant.quirks
            identifier = read_identifier(bytes(self._data), self._context.transfer_syntax, quirks)
            request = QueryRequest(
                association.caller,
                association.grant,
                self._context.abstract_syntax,
                identifier,
                extensions_of(association, self._context.abstract_syntax),
            )
            query = self._service.queries[self._context.abstract_syntax]
            if (
                PLAIN_PENDING not in quirks
                and isinstance(query, KnowsKeys)
                and query.lacks_keys(request)
            ):
                self._pending = Status.PENDING_WITHOUT_OPTIONAL_KEYS
            matches = query(request)
            try:
                self._stream(matches)
            finally:
                # A generator holds a transaction open; ending early must end it too.
                if isinstance(matches, Generator):
                    matches.close()
            if self._cancelled:
                status, comment = Status.CANCEL, "cancelled"
        except IsocenterError as error:
            status, comment = FIND[error.kind], error.message
        except ProtocolError as error:
            status, comment = Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, str(error)
        except Exception:  # noqa: BLE001  a defect of ours must not leave the peer waiting
            _log.exception("query_failed", affected_sop_class_uid=self._context.abstract_syntax)
            status, comment = Status.CANNOT_UNDERSTAND, "internal error"
        association = self._association
        association.loop.call_soon_threadsafe(self._conclude, status, comment)

    def _stream(self, matches: Iterator[DataSet]) -> None:
        lot: list[bytes] = []
        size, full = 0, _FIRST_LOT_BYTES
        quirks = self._association.grant.quirks
        try:
            for match in matches:
                if self._cancelled:
                    return
                answer = fit_answer(match, quirks) if quirks else match
                lot.append(encode_dataset(answer, self._context.transfer_syntax))
                size += len(lot[-1])
                if size >= min(full, self._service.limits.response_bytes):
                    self._hand_over(lot)
                    lot, size, full = [], 0, 2 * full
        finally:
            # Also what was found before the query failed, as when there is too much. It is less
            # than a lot and goes with the end: the thread does not wait for it.
            self._rest = lot

    def _hand_over(self, lot: list[bytes]) -> None:
        # Waits for the loop, and the loop for the peer: at most one lot is in memory.
        sent = asyncio.run_coroutine_threadsafe(self._send(lot), self._association.loop)
        try:
            sent.result(self._service.limits.stall_timeout_s)
        except TimeoutError:
            # A peer that does not read must not keep a thread and a transaction.
            sent.cancel()
            self._cancelled = True
            self._association.loop.call_soon_threadsafe(self._association.abort)

    async def _send(self, lot: list[bytes]) -> None:
        self._queue(lot)
        self._association.flush()
        await self._association.writable()

    def _queue(self, lot: list[bytes]) -> None:
        response = dimse.CFindResponse(
            message_id_being_responded_to=self._request.message_id,
            affected_sop_class_uid=self._request.affected_sop_class_uid,
            status=self._pending,
            has_data_set=True,
        )
        for data_set in lot:
            self._association.queue(self._context.context_id, response, data_set)

    def _conclude(self, status: Status, comment: str) -> None:
        if not self._cancelled:
            self._queue(self._rest)
        self._end(status, comment)

    def _end(self, status: Status, comment: str = "") -> None:
        metrics.QUERIES.labels(f"{status:04X}").inc()
        response = dimse.CFindResponse(
            message_id_being_responded_to=self._request.message_id,
            affected_sop_class_uid=self._request.affected_sop_class_uid,
            status=status,
            error_comment=comment,
        )
        self._association.respond(self._context.context_id, response)
