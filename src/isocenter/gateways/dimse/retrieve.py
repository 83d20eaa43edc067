"""C-MOVE and C-GET as SCP: from the identifier to the last response.

What is wanted and where it goes, the retrieve port says (``ports``); objects are sent by
``retrieve_move`` and ``retrieve_get``. Here: limits, pending responses with counts, C-CANCEL, and
the final status with the instances that failed.

Standard: PS3.4 C.4.2, C.4.3; PS3.7 9.1.3, 9.1.4
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse import metrics
from isocenter.gateways.dimse.association import Association
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.outgoing import Transcode
from isocenter.gateways.dimse.ports import Grant, Retrieve, RetrieveRequest, Service
from isocenter.gateways.dimse.query import extensions_of
from isocenter.gateways.dimse.retrieve_get import GetChannel
from isocenter.gateways.dimse.retrieve_job import Job, Means
from isocenter.gateways.dimse.retrieve_move import Move, Originator
from isocenter.gateways.dimse.services import Receiver, refuse
from isocenter.gateways.dimse.status_table import RETRIEVE
from isocenter.infra.blobs import BlobStore
from isocenter.infra.log import get_logger
from isocenter.infra.threads import Threads
from isocenter.standards import ProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.query_retrieve import parse_retrieval
from isocenter.standards.dicom.ul.connection import NegotiatedContext
from isocenter.standards.dicom.ul.negotiation import Offer
from isocenter.standards.dicom.ul.pdu import ContextResult
from isocenter.standards.dicom.values import DataSet, decode_dataset, encode_dataset

_log = get_logger(__name__)
_FAILED_SOP_INSTANCE_UID_LIST: Final = 0x00080058
# A caller that hears nothing for long takes the retrieval for dead.
_SIGN_OF_LIFE_S: Final = 5.0
# Pending responses are optional (PS3.4 C.4.2.3.1): often enough for whoever looks at the counts.
_REPORT_PAUSE_S: Final = 0.1
_OFFER: Final = Offer(
    frozenset({
        uids.IMPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_LITTLE_ENDIAN,
        uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    })
)
_SERVICE_OF: Final[Mapping[str, Service]] = {
    uids.PATIENT_ROOT_MOVE: Service.MOVE,
    uids.STUDY_ROOT_MOVE: Service.MOVE,
    uids.PATIENT_ROOT_GET: Service.GET,
    uids.STUDY_ROOT_GET: Service.GET,
}


class RetrieveService:
    """Sends what peers ask for, to others or to themselves."""

    def __init__(
        self, plan: Retrieve | None, blobs: BlobStore, transcode: Transcode, limits: Limits
    ) -> None:
        self.plan = plan
        self.limits = limits
        self.threads = Threads(limits.retrieve_threads, name="retrieve")
        self.means = Means(blobs, transcode, self.threads, limits.retrieve_ahead_bytes)
        self.turns = asyncio.Semaphore(limits.retrievals_max)
        self.tasks: set[asyncio.Task[None]] = set()

    def offer(self, abstract_syntax: str, grant: Grant) -> Offer | ContextResult | None:
        """Both roots, to peers that may move or get."""
        service = _SERVICE_OF.get(abstract_syntax)
        if service is None or self.plan is None:
            return None
        return _OFFER if service in grant.services else ContextResult.USER_REJECTION

    def begin(
        self, association: Association, context: NegotiatedContext, request: dimse.Request
    ) -> Receiver | None:
        """Collects the identifier, then starts the retrieval."""
        is_move = _SERVICE_OF[context.abstract_syntax] is Service.MOVE
        wanted = dimse.CMoveRequest if is_move else dimse.CGetRequest
        if not isinstance(request, wanted) or not request.has_data_set:
            return refuse(association, context, request, Status.UNRECOGNIZED_OPERATION)
        return _Retrieval(self, association, context, request)

    def close(self) -> None:
        """Ends what is under way."""
        for task in list(self.tasks):
            task.cancel()
        self.threads.close(wait=False)


class _Retrieval:
    """One C-MOVE or C-GET."""

    __slots__ = (
        "_association", "_cancelled", "_context", "_data", "_job", "_reported_at", "_request",
        "_service",
    )  # fmt: skip

    def __init__(
        self,
        service: RetrieveService,
        association: Association,
        context: NegotiatedContext,
        request: dimse.CMoveRequest | dimse.CGetRequest,
    ) -> None:
        self._service = service
        self._association = association
        self._context = context
        self._request = request
        self._data = bytearray()
        self._job = Job.of(())
        self._cancelled = False
        self._reported_at = 0.0

    def write(self, data: memoryview | bytes) -> None:
        """The next piece of the identifier; beyond the limit only the fact is kept."""
        if len(self._data) <= self._service.limits.identifier_bytes_max:
            self._data += data

    def finish(self) -> None:
        """Starts the retrieval."""
        if len(self._data) > self._service.limits.identifier_bytes_max:
            self._end(Status.UNABLE_TO_CALCULATE_MATCHES, "the identifier is too large")
            return
        self._association.on_cancel(self._request.message_id, self._cancel)
        task = self._association.loop.create_task(self._run())
        self._service.tasks.add(task)
        task.add_done_callback(self._service.tasks.discard)

    def abandon(self) -> None:
        """Nothing was started yet."""

    def _cancel(self) -> None:
        self._cancelled = self._job.cancelled = True

    async def _run(self) -> None:
        signs = asyncio.create_task(self._give_signs_of_life())
        try:
            async with self._service.turns:
                await self._perform()
        except IsocenterError as error:
            status = RETRIEVE[error.kind]
            if status is Status.MOVE_DESTINATION_UNKNOWN and error.kind is not Kind.NOT_FOUND:
                status = Status.CANNOT_UNDERSTAND
            self._end(status, error.message)
        except ProtocolError as error:
            self._end(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, str(error))
        except Exception:  # noqa: BLE001  a defect of ours must not leave the peer waiting
            _log.exception("retrieval_failed", affected_sop_class_uid=self._context.abstract_syntax)
            self._end(Status.CANNOT_UNDERSTAND, "internal error")
        finally:
            signs.cancel()

    async def _perform(self) -> None:
        service, association = self._service, self._association
        sop_class_uid = self._context.abstract_syntax
        identifier = decode_dataset(bytes(self._data), self._context.transfer_syntax)
        wanted = parse_retrieval(
            identifier, sop_class_uid, extensions_of(association, sop_class_uid)
        )
        asked = self._request
        move_destination = (
            asked.move_destination.strip() if isinstance(asked, dimse.CMoveRequest) else None
        )
        request = RetrieveRequest(association.caller, association.grant, wanted, move_destination)
        if service.plan is None:
            return
        plan = await service.threads.call(partial(service.plan, request))
        job = self._job = Job.of(plan.instances)
        job.cancelled = self._cancelled
        job.progressed = self._report_progress
        self._report()
        if plan.destination is not None:
            originator = Originator(association.caller.calling_ae_title, self._request.message_id)
            move = Move(
                job,
                service.means,
                plan.destination,
                originator,
                associations_max=service.limits.retrieve_associations_max,
                pauses_s=service.limits.retrieve_pauses_s,
            )
            await move.run()
        else:
            await self._get(job)
        self._conclude(job)

    async def _get(self, job: Job) -> None:
        channel = GetChannel(
            self._association, answer_timeout_s=self._service.limits.stall_timeout_s
        )
        # An association that broke took its caller with it: there is nobody to tell.
        with suppress(IsocenterError):
            await job.pump(channel, self._service.means)

    async def _give_signs_of_life(self) -> None:
        while True:
            await asyncio.sleep(_SIGN_OF_LIFE_S)
            self._report()

    def _report_progress(self) -> None:
        # Each is a message to the caller and work for it, while it has objects to receive as well.
        if self._association.loop.time() >= self._reported_at + _REPORT_PAUSE_S:
            self._report()

    def _report(self) -> None:
        """A pending response with the counts of this moment.

        Standard: PS3.4 C.4.2.3.1, Table C.4-2
        """
        self._reported_at = self._association.loop.time()
        self._respond(Status.PENDING)

    def _conclude(self, job: Job) -> None:
        """The final response: how it ended, and what failed.

        Standard: PS3.4 C.4.2.3.1
        """
        if job.cancelled and job.remaining:
            self._end(Status.CANCEL)
        elif not job.failed and not job.warnings:
            self._end(Status.SUCCESS)
        elif not job.completed and not job.warnings:
            self._end(Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, "nothing could be sent")
        else:
            self._end(Status.COERCION_OF_DATA_ELEMENTS, "not everything could be sent")

    def _end(self, status: Status, comment: str = "") -> None:
        metrics.RETRIEVALS.labels(f"{status:04X}").inc()
        self._respond(status, comment)

    def _respond(self, status: Status, comment: str = "") -> None:
        job = self._job
        ongoing = status in {Status.PENDING, Status.CANCEL}
        data_set = None
        if job.failed and status is not Status.PENDING:
            failed = DataSet()
            failed.put(_FAILED_SOP_INSTANCE_UID_LIST, *job.failed)
            data_set = encode_dataset(failed, self._context.transfer_syntax)
        response = _RESPONSES[type(self._request)](
            message_id_being_responded_to=self._request.message_id,
            affected_sop_class_uid=self._request.affected_sop_class_uid,
            status=status,
            # Remaining ones are said only while there are some (Table C.4-2).
            number_of_remaining_suboperations=job.remaining if ongoing else None,
            number_of_completed_suboperations=job.completed,
            number_of_failed_suboperations=len(job.failed),
            number_of_warning_suboperations=job.warnings,
            error_comment=comment,
            has_data_set=data_set is not None,
        )
        self._association.respond(self._context.context_id, response, data_set)


_RESPONSES: Final[
    Mapping[type[dimse.Request], type[dimse.CMoveResponse] | type[dimse.CGetResponse]]
] = {
    dimse.CMoveRequest: dimse.CMoveResponse,
    dimse.CGetRequest: dimse.CGetResponse,
}
