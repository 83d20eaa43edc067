"""C-STORE as SCP: any storage class, any transfer syntax, the data set exactly as received.

Fragments go from the receive buffer straight into a blob writer, behind preamble and file meta
information; only the first bytes of the data set are kept in memory for the header scan. Making
the object durable and visible, and the response, are the business of ``admission``.

Standard: PS3.4 Annex B
"""

import asyncio
from typing import Final

from isocenter.domain.archive.service.completeness import FRAGMENTS_END
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import metrics
from isocenter.gateways.dimse.admission import AdmissionQueue
from isocenter.gateways.dimse.admission_entries import Answer, Finished
from isocenter.gateways.dimse.association import Association
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Grant, Service
from isocenter.gateways.dimse.services import Receiver, refuse
from isocenter.infra.blobs import BlobStore
from isocenter.infra.log import get_logger
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.part10 import encode_file_meta
from isocenter.standards.dicom.ul.connection import NegotiatedContext
from isocenter.standards.dicom.ul.negotiation import Offer
from isocenter.standards.dicom.ul.pdu import ContextResult
from isocenter.standards.dicom.ul.syntax import is_ae_title

_log = get_logger(__name__)
_FREE_SPACE_AGE_S: Final = 1.0
_TAIL_BYTES: Final = len(FRAGMENTS_END)


class StoreService:
    """Takes objects from peers that may store."""

    def __init__(self, store: BlobStore, admission: AdmissionQueue, limits: Limits) -> None:
        self.store = store
        self.admission = admission
        self.limits = limits
        self._space_checked_at = float("-inf")
        self._has_space = True

    def offer(self, abstract_syntax: str, grant: Grant) -> Offer | ContextResult | None:
        """Every UID is a storage class unless the standard says that it is something else.

        New and private storage classes cannot be known by name, and their objects are kept like
        any.
        """
        known = uids.sop_classes().get(abstract_syntax)
        if not uids.is_valid(abstract_syntax) or (known is not None and not known.is_storage):
            return None
        stores, gets = Service.STORE in grant.services, Service.GET in grant.services
        # Whoever gets objects by C-GET is their SCP and we are the SCU.
        return Offer(scp=stores, scu=gets) if stores or gets else ContextResult.USER_REJECTION

    def begin(
        self, association: Association, context: NegotiatedContext, request: dimse.Request
    ) -> Receiver | None:
        """Opens a writer for the object, or lets its data set pass and refuses it."""
        if not isinstance(request, dimse.CStoreRequest) or not request.has_data_set:
            return refuse(association, context, request, Status.UNRECOGNIZED_OPERATION)
        if Service.STORE not in association.grant.services:
            return refuse(association, context, request, Status.NOT_AUTHORIZED)
        if request.affected_sop_class_uid != context.abstract_syntax:
            comment = "SOP class is not that of the presentation context"
            return refuse(association, context, request, Status.SOP_CLASS_NOT_SUPPORTED, comment)
        if not uids.is_valid(request.affected_sop_instance_uid):
            comment = "SOP instance UID is no UID"
            return refuse(association, context, request, Status.INVALID_OBJECT_INSTANCE, comment)
        try:
            if self._space_left(association.loop):
                return _ObjectReceiver(self, association, context, request)
            comment = "storage is nearly full"
        except (OSError, IsocenterError) as error:
            comment = "storage is not available"
            _log.error("blob_not_begun", error_type=type(error).__name__)
        return refuse(association, context, request, Status.OUT_OF_RESOURCES, comment)

    def _space_left(self, loop: asyncio.AbstractEventLoop) -> bool:
        if loop.time() - self._space_checked_at > _FREE_SPACE_AGE_S:
            self._space_checked_at = loop.time()
            free_bytes = self.store.free_bytes()
            self._has_space = free_bytes is None or free_bytes >= self.limits.free_bytes_min
            if not self._has_space:
                _log.error("storage_below_watermark", free_bytes=free_bytes)
        return self._has_space


class _ObjectReceiver:
    """One object on its way into the store."""

    __slots__ = (
        "_association", "_context", "_dataset_bytes", "_dataset_offset", "_failure", "_header",
        "_header_room", "_request", "_service", "_tail", "_writer",
    )  # fmt: skip

    def __init__(
        self,
        service: "StoreService",
        association: Association,
        context: NegotiatedContext,
        request: dimse.CStoreRequest,
    ) -> None:
        self._service = service
        self._association = association
        self._context = context
        self._request = request
        self._header = bytearray()
        self._header_room = service.limits.header_bytes
        self._tail = b""
        self._dataset_bytes = 0
        self._failure: Answer | None = None
        title = association.caller.calling_ae_title
        head = encode_file_meta(
            sop_class_uid=request.affected_sop_class_uid,
            sop_instance_uid=request.affected_sop_instance_uid,
            transfer_syntax_uid=context.transfer_syntax,
            source_ae_title=title if is_ae_title(title) else "",
        )
        self._dataset_offset = len(head)
        self._writer = service.store.writer()
        self._put(head)

    def write(self, data: memoryview | bytes) -> None:
        """Takes the next piece of the data set."""
        size = len(data)
        self._dataset_bytes += size
        if self._header_room > 0:
            self._header += data[: self._header_room]
            self._header_room -= size
        last = bytes(data[-_TAIL_BYTES:])
        self._tail = last if len(last) == _TAIL_BYTES else (self._tail + last)[-_TAIL_BYTES:]
        if self._failure is None:
            if self._dataset_bytes > self._service.limits.dataset_bytes_max:
                self._fail(Answer(Status.OUT_OF_RESOURCES, "the object is too large"))
            else:
                self._put(data)

    def finish(self) -> None:
        """Hands the object over to be admitted."""
        if self._failure is not None:
            self._answer(self._failure, False)
            return
        request = self._request
        self._service.admission.submit(
            Finished(
                caller=self._association.caller,
                grant=self._association.grant,
                sop_class_uid=request.affected_sop_class_uid,
                sop_instance_uid=request.affected_sop_instance_uid,
                transfer_syntax_uid=self._context.transfer_syntax,
                writer=self._writer,
                header=self._header,
                tail=self._tail,
                dataset_offset=self._dataset_offset,
                dataset_bytes=self._dataset_bytes,
                answered=self._answer,
                admitted=self._association.settled,
            )
        )

    def abandon(self) -> None:
        """Removes what was written."""
        if self._failure is None:
            self._fail(Answer(Status.PROCESSING_FAILURE))

    def _put(self, data: memoryview | bytes) -> None:
        try:
            self._writer.write(data)
        except (OSError, IsocenterError) as error:
            _log.error("blob_not_written", error_type=type(error).__name__)
            self._fail(Answer(Status.OUT_OF_RESOURCES, "storage is not available"))

    def _fail(self, failure: Answer) -> None:
        self._failure = failure
        self._header_room = 0
        self._writer.abort()

    def _answer(self, answer: Answer, admitted_later: bool) -> None:
        if admitted_later:
            self._association.unsettled(self._service.admission.hurry)
        metrics.instances(answer.status).inc()
        if answer.status == Status.SUCCESS:
            metrics.INSTANCE_BYTES.inc(self._dataset_bytes)
        request = self._request
        response = dimse.CStoreResponse(
            message_id_being_responded_to=request.message_id,
            affected_sop_class_uid=request.affected_sop_class_uid,
            affected_sop_instance_uid=request.affected_sop_instance_uid,
            status=answer.status,
            error_comment=answer.comment,
        )
        self._association.respond(self._context.context_id, response)
