"""DIMSE-N as SCP: takes the data set of a request whole, has it performed in a thread, answers.

What the operations mean is the business of the SOP class that is handed over (``ports``): its
``Perform`` is called in a thread of a bounded pool and answers with an ``Outcome``. Requests of one
association may overtake each other only if the peer has several outstanding.

Standard: PS3.7 10.1
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import metrics
from isocenter.gateways.dimse.association import Association
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Grant, NormalizedClass, Operation, Outcome
from isocenter.gateways.dimse.services import Receiver, refuse
from isocenter.gateways.dimse.status_table import NORMALIZED
from isocenter.infra.log import get_logger
from isocenter.standards import ProtocolError
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from isocenter.standards.dicom.ul.connection import NegotiatedContext
from isocenter.standards.dicom.ul.negotiation import Offer
from isocenter.standards.dicom.ul.pdu import ContextResult
from isocenter.standards.dicom.values import decode_dataset, encode_dataset

_log = get_logger(__name__)
_SYNTAXES: Final = frozenset({
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
})


class NormalizedService:
    """Performs the operations of the SOP classes that are served."""

    def __init__(self, classes: Mapping[str, NormalizedClass], limits: Limits) -> None:
        self.classes = classes
        self.limits = limits
        self.threads = ThreadPoolExecutor(limits.operation_threads, thread_name_prefix="operation")

    def offer(self, abstract_syntax: str, grant: Grant) -> Offer | ContextResult | None:
        """The SOP classes that are served, to peers that may use them."""
        served = self.classes.get(abstract_syntax)
        if served is None:
            return None
        if served.service not in grant.services:
            return ContextResult.USER_REJECTION
        return Offer(_SYNTAXES, scu=served.scu)

    def begin(
        self, association: Association, context: NegotiatedContext, request: dimse.Request
    ) -> Receiver | None:
        """Collects the data set if there is one, then has the operation performed."""
        served = self.classes[context.abstract_syntax]
        if type(request) not in served.operations:
            return refuse(association, context, request, Status.UNRECOGNIZED_OPERATION)
        receiver = _OperationReceiver(self, association, context, request)
        if request.has_data_set:
            return receiver
        receiver.finish()
        return None

    def close(self) -> None:
        """Ends the threads; operations that have begun end as they would, others never begin."""
        self.threads.shutdown(wait=False, cancel_futures=True)


class _OperationReceiver:
    """One operation, from its data set to its response."""

    __slots__ = ("_association", "_context", "_data", "_request", "_service")

    def __init__(
        self,
        service: NormalizedService,
        association: Association,
        context: NegotiatedContext,
        request: dimse.Request,
    ) -> None:
        self._service = service
        self._association = association
        self._context = context
        self._request = request
        self._data = bytearray()

    def write(self, data: memoryview | bytes) -> None:
        """The next piece of the data set; beyond the limit only the fact is kept."""
        if len(self._data) <= self._service.limits.operation_bytes_max:
            self._data += data

    def finish(self) -> None:
        """Has the operation performed in a thread."""
        if len(self._data) > self._service.limits.operation_bytes_max:
            comment = "the data set is too large"
            self._answer(Outcome(status=Status.RESOURCE_LIMITATION, comment=comment), None)
            return
        self._service.threads.submit(self._run)

    def abandon(self) -> None:
        """Nothing was started yet."""
        self._data.clear()

    def _run(self) -> None:
        """In the operation thread: decode, perform, encode what is answered."""
        data_set: bytes | None = None
        try:
            outcome = self._performed()
            if outcome.data_set is not None:
                data_set = encode_dataset(outcome.data_set, self._context.transfer_syntax)
        except IsocenterError as error:
            outcome = Outcome(status=NORMALIZED[error.kind], comment=error.message)
        except Exception:  # noqa: BLE001  a defect of ours must not leave the peer waiting
            _log.exception("operation_failed", affected_sop_class_uid=self._context.abstract_syntax)
            outcome = Outcome(status=Status.PROCESSING_FAILURE, comment="internal error")
        self._association.loop.call_soon_threadsafe(self._answer, outcome, data_set)

    def _performed(self) -> Outcome:
        association, context = self._association, self._context
        try:
            data_set = decode_dataset(bytes(self._data), context.transfer_syntax)
        except ProtocolError as error:
            return Outcome(status=Status.PROCESSING_FAILURE, comment=str(error))
        operation = Operation(association.caller, association.grant, self._request, data_set)
        return self._service.classes[context.abstract_syntax].perform(operation)

    def _answer(self, outcome: Outcome, data_set: bytes | None) -> None:
        metrics.OPERATIONS.labels(f"{outcome.status:04X}").inc()
        response = response_to(self._request, outcome)
        self._association.respond(self._context.context_id, response, data_set)
        if outcome.follow_up is not None and self._association.is_established:
            outcome.follow_up(self._association, self._context)


def response_to(request: dimse.Request, outcome: Outcome) -> dimse.Response:
    """The response that tells the outcome of an N- request.

    Standard: PS3.7 10.3
    """
    sop_class_uid, sop_instance_uid = _named(request)
    common: dict[str, Any] = {
        "message_id_being_responded_to": request.message_id,
        "status": outcome.status,
        "affected_sop_class_uid": sop_class_uid,
        "affected_sop_instance_uid": outcome.affected_sop_instance_uid or sop_instance_uid,
        "error_comment": outcome.comment,
        "error_id": outcome.error_id,
        "has_data_set": outcome.data_set is not None,
    }
    tags = outcome.attribute_identifiers
    match request:
        case dimse.NCreateRequest():
            return dimse.NCreateResponse(attribute_identifier_list=tags, **common)
        case dimse.NSetRequest():
            return dimse.NSetResponse(attribute_identifier_list=tags, **common)
        case dimse.NGetRequest():
            return dimse.NGetResponse(attribute_identifier_list=tags, **common)
        case dimse.NActionRequest():
            return dimse.NActionResponse(action_type_id=request.action_type_id, **common)
        case dimse.NEventReportRequest():
            return dimse.NEventReportResponse(event_type_id=request.event_type_id, **common)
        case _:
            return dimse.NDeleteResponse(**common)


def _named(request: dimse.Request) -> tuple[str, str]:
    """SOP class and instance that a request is about: "affected" or "requested" by its kind."""
    if isinstance(request, dimse.NCreateRequest | dimse.NEventReportRequest):
        return request.affected_sop_class_uid, request.affected_sop_instance_uid
    sop_class_uid = getattr(request, "requested_sop_class_uid", "")
    return sop_class_uid, getattr(request, "requested_sop_instance_uid", "")
