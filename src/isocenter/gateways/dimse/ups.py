"""Unified Procedure Step (Push, Pull, Watch) as SCP: DIMSE-N becomes the worklist's verbs.

What a step must say is in ``standards.dicom.unified_procedure_step``, what happens to it is the
business of ``domain.worklist``; here are only translation and status codes. Searches are in
``ups_query``, and what subscribers are told in ``ups_reports``. All requests name instances of the
Push SOP class, whatever was negotiated.

Standard: PS3.4 CC.2, CC.3
"""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import partial
from typing import Any, Final

from isocenter.domain.access.model import Actor
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model_workitems import (
    AttributesRefused,
    Channel,
    FilterRefused,
    NotCreatedScheduled,
    StateForbids,
    Subscriber,
    SubscriberUnknown,
    SubscriptionRequest,
    WorkitemExists,
    WorkitemUidInvalid,
    WorkitemUnknown,
)
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse.ports import NormalizedClass, Operation, Outcome, Service
from isocenter.infra import ids
from isocenter.infra.clock import Clock
from isocenter.infra.pools import Pool
from isocenter.standards.dicom import unified_procedure_step as standard
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.json_model import from_json
from isocenter.standards.dicom.performed_step import Fault
from isocenter.standards.dicom.unified_procedure_step import ActionType, State, UpsStatus
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET

_COMMENT_CHARACTERS_MAX: Final = 64
# PS3.4 Tables CC.2-1 to CC.2-3.
_ACTIONS: Final[Mapping[str, frozenset[ActionType]]] = {
    standard.PUSH: frozenset({ActionType.REQUEST_CANCEL}),
    standard.PULL: frozenset({ActionType.CHANGE_STATE}),
    standard.WATCH: frozenset(ActionType) - {ActionType.CHANGE_STATE},
}
_OPERATIONS: Final[Mapping[str, frozenset[type[dimse.Request]]]] = {
    standard.PUSH: frozenset({dimse.NCreateRequest, dimse.NGetRequest, dimse.NActionRequest}),
    standard.PULL: frozenset({dimse.NSetRequest, dimse.NGetRequest, dimse.NActionRequest}),
    standard.WATCH: frozenset({dimse.NGetRequest, dimse.NActionRequest}),
}
_STATUSES: Final[Mapping[type[IsocenterError], int]] = {
    WorkitemExists: Status.DUPLICATE_SOP_INSTANCE,
    WorkitemUidInvalid: Status.INVALID_OBJECT_INSTANCE,
    NotCreatedScheduled: UpsStatus.NOT_CREATED_SCHEDULED,
    SubscriberUnknown: UpsStatus.RECEIVING_AE_UNKNOWN,
    FilterRefused: Status.INVALID_ARGUMENT_VALUE,
}


class ProcedureSteps:
    """Performs the operations of the three SOP classes on workitems.

    Args:
        pool: where the workitems are.
        clock: tells now.
        zone: of moments that do not say theirs.
    """

    def __init__(self, pool: Pool, *, clock: Clock, zone: tzinfo) -> None:
        self._pool = pool
        self._clock = clock
        self._zone = zone

    def classes(self) -> Mapping[str, NormalizedClass]:
        """The SOP classes by UID."""
        return {
            uid: NormalizedClass(Service.UPS, operations, partial(self.perform, uid))
            for uid, operations in _OPERATIONS.items()
        }

    def perform(self, negotiated: str, operation: Operation, /) -> Outcome:
        """What became of an operation on the SOP class that was negotiated."""
        actor = Actor.dicom_peer(
            operation.grant.peer_name,
            operation.caller.address,
            [each.value for each in operation.grant.services],
        )
        if _named_class(operation.request) not in {standard.PUSH, negotiated}:
            return Outcome(status=Status.NO_SUCH_SOP_CLASS, comment="no Unified Procedure Step")
        try:
            return self._performed(actor, negotiated, operation)
        except AttributesRefused as error:
            return _refused(error.fault, operation.data_set)
        except StateForbids as error:
            return Outcome(status=error.status, comment=error.message[:_COMMENT_CHARACTERS_MAX])
        except WorkitemUnknown as error:
            return Outcome(status=UpsStatus.NO_SUCH_STEP, comment=error.message)
        except tuple(_STATUSES) as error:
            comment = error.message[:_COMMENT_CHARACTERS_MAX]
            return Outcome(status=_STATUSES[type(error)], comment=comment)

    def _performed(self, actor: Actor, negotiated: str, operation: Operation) -> Outcome:
        match operation.request:
            case dimse.NCreateRequest() as request:
                uid = request.affected_sop_instance_uid
                return self._create(actor, uid, operation.data_set)
            case dimse.NSetRequest() as request:
                uid = request.requested_sop_instance_uid
                changes = operation.data_set
                self._run(worklist.update_workitem, actor, uid, changes, zone=self._zone)
                return Outcome(status=Status.SUCCESS)
            case dimse.NGetRequest() as request:
                return self._get(actor, request)
            case dimse.NActionRequest() as request:
                if request.action_type_id not in _ACTIONS[negotiated]:
                    return Outcome(status=Status.NO_SUCH_ACTION_TYPE)
                return self._act(actor, request, operation)
            case _:
                return Outcome(status=Status.UNRECOGNIZED_OPERATION)

    def _run(self, verb: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return self._pool.run_here(lambda tx: verb(tx, *args, now=self._clock(), **named))

    def _create(self, actor: Actor, sop_instance_uid: str, attributes: DataSet) -> Outcome:
        # PS3.7 10.1.5.1.4: without an instance UID the performer makes one.
        uid = sop_instance_uid or ids.new_uid()
        filled = self._run(worklist.create_workitem, actor, uid, attributes, zone=self._zone)
        status = UpsStatus.CREATED_WITH_MODIFICATIONS if filled else Status.SUCCESS
        return Outcome(status=status, affected_sop_instance_uid=uid)

    def _get(self, actor: Actor, request: dimse.NGetRequest) -> Outcome:
        uid = request.requested_sop_instance_uid
        known = from_json(self._run(worklist.read_workitem, actor, uid))
        # PS3.7 10.1.2.1.9: an empty list asks for all.
        wanted = request.attribute_identifier_list or tuple(known)
        found = DataSet({tag: known[tag] for tag in wanted if tag in known})
        if SPECIFIC_CHARACTER_SET in known:
            found[SPECIFIC_CHARACTER_SET] = known[SPECIFIC_CHARACTER_SET]
        return Outcome(status=Status.SUCCESS, data_set=found.sorted())

    def _act(self, actor: Actor, request: dimse.NActionRequest, operation: Operation) -> Outcome:
        uid, said = request.requested_sop_instance_uid, operation.data_set
        match request.action_type_id:
            case ActionType.CHANGE_STATE:
                return self._change_state(actor, uid, said)
            case ActionType.REQUEST_CANCEL:
                status = self._run(
                    worklist.request_cancellation,
                    actor,
                    uid,
                    said,
                    requesting_ae_title=operation.caller.calling_ae_title,
                )
                return Outcome(status=status)
            case _:
                return self._change_subscription(actor, request, said)

    def _change_state(self, actor: Actor, uid: str, said: DataSet) -> Outcome:
        try:
            state = State(said.text(standard.STATE))
        except ValueError:
            return _bad_argument("Procedure Step State")
        transaction_uid = said.text(standard.TRANSACTION_UID)
        status = self._run(
            worklist.change_workitem_state, actor, uid, state, transaction_uid=transaction_uid
        )
        return Outcome(status=status)

    def _change_subscription(
        self, actor: Actor, request: dimse.NActionRequest, said: DataSet
    ) -> Outcome:
        """Subscribe, unsubscribe or suspend.

        Standard: PS3.4 CC.2.3
        """
        uid, ae_title = request.requested_sop_instance_uid, said.text(standard.RECEIVING_AE).strip()
        if not ae_title:
            return _bad_argument("Receiving AE")
        match request.action_type_id:
            case ActionType.UNSUBSCRIBE:
                self._run(worklist.unsubscribe, actor, uid, ae_title)
            case ActionType.SUSPEND_GLOBAL_SUBSCRIPTION:
                self._run(worklist.suspend_subscription, actor, uid, ae_title)
            case _:
                lock = said.text(standard.DELETION_LOCK).strip().upper() or "FALSE"
                if lock not in {"TRUE", "FALSE"}:
                    return _bad_argument("Deletion Lock")
                others = {standard.RECEIVING_AE, standard.DELETION_LOCK}
                keys = DataSet({tag: said[tag] for tag in said if tag not in others})
                subscriber = Subscriber(ae_title, Channel.DIMSE)
                wanted = SubscriptionRequest(uid, subscriber, lock == "TRUE", keys)
                self._run(worklist.subscribe, actor, wanted, zone=self._zone)
        return Outcome(status=Status.SUCCESS)


def _named_class(request: dimse.Request) -> str:
    if isinstance(request, dimse.NCreateRequest):
        return request.affected_sop_class_uid
    return getattr(request, "requested_sop_class_uid", "")


def _bad_argument(name: str) -> Outcome:
    return Outcome(status=Status.INVALID_ARGUMENT_VALUE, comment=f"no such value of {name}")


def _refused(fault: Fault, attributes: DataSet) -> Outcome:
    """A refusal that names the attributes at fault, as a list or, with their values, as a data set.

    Standard: PS3.7 C.4.2, C.5.9, C.5.13, C.5.14
    """
    comment = AttributesRefused(fault).message[:_COMMENT_CHARACTERS_MAX]
    if fault.status in {Status.MISSING_ATTRIBUTE, Status.NO_SUCH_ATTRIBUTE}:
        return Outcome(status=fault.status, comment=comment, attribute_identifiers=fault.tags)
    at_fault = DataSet({tag: attributes[tag] for tag in fault.tags if tag in attributes})
    if at_fault and SPECIFIC_CHARACTER_SET in attributes:
        at_fault[SPECIFIC_CHARACTER_SET] = attributes[SPECIFIC_CHARACTER_SET]
    return Outcome(
        status=fault.status, comment=comment, data_set=at_fault.sorted() if at_fault else None
    )
