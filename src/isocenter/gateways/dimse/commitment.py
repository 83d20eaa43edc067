"""Storage commitment as peers ask for it, and as they answer our own questions.

A request is a row before it is confirmed; deciding it is the worker's business. Its answer goes
over the association on which it was asked as long as that stands and nothing else goes on there;
else the worker takes it to the peer over a new one (``commitment_reports``).

Standard: PS3.4 Annex J
"""

import asyncio
from functools import partial
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import ClaimedCommitment, ClaimLost, CommitmentState
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse.association import Association
from isocenter.gateways.dimse.commitment_messages import (
    REFERENCES_MAX,
    REQUEST_COMMITMENT,
    STORAGE_COMMITMENT_PUSH,
    WELL_KNOWN_INSTANCE,
    Result,
    describe_failure,
    encode_result,
    references_of,
    result_of,
    transaction_uid_of,
)
from isocenter.gateways.dimse.ports import NormalizedClass, Operation, Outcome, Service
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.ul.connection import NegotiatedContext
from isocenter.standards.dicom.values import encode_dataset

_log = get_logger(__name__)
_HOLD_S: Final = 5.0
_LOOK_FIRST_S: Final = 0.1
_LOOK_MAX_S: Final = 1.0
_ANSWER_S: Final = 30.0


class CommitmentService:
    """Takes N-ACTION and N-EVENT-REPORT of the Storage Commitment Push Model."""

    def __init__(self, pool: Pool, *, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def served(self) -> NormalizedClass:
        """How it is bound to the server. Who may ask is decided with each request."""
        operations: frozenset[type[dimse.Request]] = frozenset({
            dimse.NActionRequest,
            dimse.NEventReportRequest,
        })
        return NormalizedClass(Service.ECHO, operations, self, scu=True)

    def __call__(self, operation: Operation, /) -> Outcome:
        """What became of it."""
        match operation.request:
            case dimse.NActionRequest() as request:
                return self._requested(operation, request)
            case dimse.NEventReportRequest() as request:
                return self._answered(operation, request)
            case _:
                return Outcome(status=Status.UNRECOGNIZED_OPERATION)

    def _requested(self, operation: Operation, request: dimse.NActionRequest) -> Outcome:
        """Keeps the request.

        Standard: PS3.4 J.3.2
        """
        if request.requested_sop_class_uid != STORAGE_COMMITMENT_PUSH:
            return Outcome(status=Status.NO_SUCH_SOP_CLASS)
        if request.requested_sop_instance_uid != WELL_KNOWN_INSTANCE:
            return Outcome(status=Status.NO_SUCH_SOP_INSTANCE)
        if request.action_type_id != REQUEST_COMMITMENT:
            return Outcome(status=Status.NO_SUCH_ACTION_TYPE)
        transaction_uid = transaction_uid_of(operation.data_set)
        references = references_of(operation.data_set)
        if not transaction_uid or not references:
            comment = "no usable transaction UID, or no usable references"
            return Outcome(status=Status.INVALID_ARGUMENT_VALUE, comment=comment)
        if len(references) > REFERENCES_MAX:
            return Outcome(status=Status.RESOURCE_LIMITATION, comment="too many references")
        allow = tuple(each.value for each in operation.grant.services)
        actor = Actor.dicom_peer(operation.grant.peer_name, operation.caller.address, allow)
        asked = distribution.CommitmentRequest(transaction_uid, references)
        key = self._pool.run_here(
            lambda tx: distribution.request_commitment(
                tx, actor, asked, hold_s=_HOLD_S, now=self._clock()
            )
        )
        _log.info("commitment_requested", peer=actor.name, count=len(references))
        return Outcome(status=Status.SUCCESS, follow_up=partial(self._follow, key))

    def _answered(self, operation: Operation, request: dimse.NEventReportRequest) -> Outcome:
        """Notes the answer to a question of ours.

        Standard: PS3.4 J.3.3
        """
        if request.affected_sop_class_uid != STORAGE_COMMITMENT_PUSH:
            return Outcome(status=Status.NO_SUCH_SOP_CLASS)
        result = result_of(operation.data_set)
        if not result.transaction_uid:
            return Outcome(status=Status.INVALID_ARGUMENT_VALUE, comment="no transaction UID")
        known = self._pool.run_here(
            lambda tx: distribution.settle_commitment(
                tx,
                operation.grant.peer_name,
                result.transaction_uid,
                failed=[describe_failure(reason) for _, reason in result.failed],
                now=self._clock(),
            )
        )
        if not known:
            comment = "no such transaction is open"
            return Outcome(status=Status.INVALID_ARGUMENT_VALUE, comment=comment)
        return Outcome(status=Status.SUCCESS)

    def _follow(self, key: int, association: Association, context: NegotiatedContext) -> None:
        task = asyncio.get_running_loop().create_task(self._answer_on(key, association, context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_on(
        self, key: int, association: Association, context: NegotiatedContext
    ) -> None:
        """Answers on the association, or leaves the answer to a new one."""
        try:
            if not await self._answered_on(key, association, context):
                await self._pool.run(distribution.release_answer, key)
        except ClaimLost:
            return
        except IsocenterError as error:
            # The hold ends by itself, and the worker goes on.
            _log.warning("commitment_not_held", error_kind=error.kind.value)

    async def _answered_on(
        self, key: int, association: Association, context: NegotiatedContext
    ) -> bool:
        """Whether nothing is left to be done: the peer has its answer, or others are at it."""
        look_s = _LOOK_FIRST_S
        while True:
            await asyncio.sleep(look_s)
            look_s = min(look_s * 1.5, _LOOK_MAX_S)
            if not association.is_established:
                return False
            state = await self._pool.run(
                distribution.hold_answer, key, hold_s=_HOLD_S, now=self._clock()
            )
            if state is None:
                return True
            # A peer that waits for another answer may not expect a question in between.
            if state == CommitmentState.DECIDED.value and not association.is_busy:
                break
        lease_s = 2 * _ANSWER_S
        claimed = await self._pool.run(
            distribution.claim_answer, key, lease_s=lease_s, now=self._clock()
        )
        if claimed is None:
            return True
        return await self._report(claimed, association, context)

    async def _report(
        self, claimed: ClaimedCommitment, association: Association, context: NegotiatedContext
    ) -> bool:
        result = result_for(claimed)
        data_set = encode_dataset(encode_result(result), context.transfer_syntax)
        request = event_report(result, association.next_message_id())
        try:
            async with asyncio.timeout(_ANSWER_S):
                response = await association.request(context.context_id, request, data_set)
        except TimeoutError:
            response = None  # as if the association had ended: the worker tells it on a new one
        now = self._clock()
        if response is not None and response.status == Status.SUCCESS:
            await self._pool.run(distribution.mark_reported, claimed, now=now)
            _log.info("commitment_reported", peer=claimed.peer, origin="same_association")
            return True
        await self._pool.run(
            distribution.report_later,
            claimed,
            reason="the association on which it was asked ended, or did not take the answer",
            due_at=now,
            now=now,
        )
        return True


def result_for(claimed: ClaimedCommitment) -> Result:
    """The answer to a decided request."""
    references = list(zip(claimed.sop_class_uids, claimed.sop_instance_uids, strict=True))
    decided = list(zip(references, claimed.failure_reasons or (), strict=True))
    return Result(
        claimed.transaction_uid,
        [reference for reference, reason in decided if not reason],
        [(reference, reason) for reference, reason in decided if reason],
    )


def event_report(result: Result, message_id: int) -> dimse.NEventReportRequest:
    """The request that goes with a result's data set."""
    return dimse.NEventReportRequest(
        message_id=message_id,
        affected_sop_class_uid=STORAGE_COMMITMENT_PUSH,
        affected_sop_instance_uid=WELL_KNOWN_INSTANCE,
        event_type_id=result.event_type_id,
        has_data_set=True,
    )
