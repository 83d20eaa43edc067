"""Modality Performed Procedure Step as SCP: N-CREATE, N-SET and N-GET become the worklist's verbs.

What a step must say is checked by ``standards.dicom.performed_step``, what it means is the business
of ``domain.worklist``; here are only translation and status codes.

Standard: PS3.4 F.7, F.8; IHE RAD TF-2 4.6, 4.7
"""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model import (
    FinalAttributesMissing,
    FixedAttributesChanged,
    PerformedSeries,
    PerformedStatus,
    PerformedStep,
    PerformedStepExists,
    PerformedStepFinal,
    Reason,
    ScheduledReference,
    StepStart,
    StepUpdate,
)
from isocenter.gateways.dimse.ports import NormalizedClass, Operation, Outcome, Service
from isocenter.infra import ids
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool
from isocenter.standards.dicom import performed_step as standard
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.json_model import from_json, to_json
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET
from isocenter.standards.dicom.values_temporal import combine, parse_offset

# PS3.4 Table F.7.2-2: the step may no longer be updated.
_MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
_TIMEZONE_OFFSET: Final = 0x00080201
_CODE_VALUE: Final = 0x00080100
_CODING_SCHEME: Final = 0x00080102
_CODE_MEANING: Final = 0x00080104


class PerformedSteps:
    """Performs the operations of both SOP classes on the worklist's performed steps."""

    def __init__(self, pool: Pool, *, clock: Clock, zone: tzinfo) -> None:
        self._pool = pool
        self._clock = clock
        self._zone = zone

    def classes(self) -> Mapping[str, NormalizedClass]:
        """The SOP classes by UID."""
        return {
            standard.MODALITY_PERFORMED_PROCEDURE_STEP: NormalizedClass(
                Service.MPPS, frozenset({dimse.NCreateRequest, dimse.NSetRequest}), self
            ),
            standard.MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE: NormalizedClass(
                Service.MPPS, frozenset({dimse.NGetRequest}), self
            ),
        }

    def __call__(self, operation: Operation, /) -> Outcome:
        """What became of it."""
        actor = Actor.dicom_peer(
            operation.grant.peer_name,
            operation.caller.address,
            [each.value for each in operation.grant.services],
        )
        match operation.request:
            case dimse.NCreateRequest() as request:
                return self._create(actor, request.affected_sop_instance_uid, operation.data_set)
            case dimse.NSetRequest() as request:
                return self._set(actor, request.requested_sop_instance_uid, operation.data_set)
            case dimse.NGetRequest() as request:
                return self._get(actor, request)
            case _:
                return Outcome(status=Status.UNRECOGNIZED_OPERATION)

    def _create(self, actor: Actor, sop_instance_uid: str, attributes: DataSet) -> Outcome:
        # PS3.7 10.1.5.1.4: without an instance UID the performer makes one.
        uid = sop_instance_uid or ids.new_uid()
        if not uids.is_valid(uid):
            return Outcome(status=Status.INVALID_OBJECT_INSTANCE, comment="no SOP Instance UID")
        fault = standard.creation_fault(attributes)
        if fault is not None:
            return _refused(fault, attributes)
        step = step_start(uid, attributes, self._zone, latest=self._clock())

        def create(tx: Tx) -> None:
            worklist.start(tx, actor, step, now=self._clock())

        try:
            self._pool.run_here(create)
        except PerformedStepExists as error:
            return Outcome(status=Status.DUPLICATE_SOP_INSTANCE, comment=error.message)
        return Outcome(status=Status.SUCCESS, affected_sop_instance_uid=uid)

    def _set(self, actor: Actor, sop_instance_uid: str, attributes: DataSet) -> Outcome:
        fault = standard.update_fault(attributes)
        if fault is not None:
            return _refused(fault, attributes)
        said = step_update(attributes, self._zone)

        def update(tx: Tx) -> None:
            worklist.update(tx, actor, sop_instance_uid, said, now=self._clock())

        try:
            self._pool.run_here(update)
        except PerformedStepFinal as error:
            return Outcome(
                status=Status.PROCESSING_FAILURE,
                comment=error.message,
                error_id=_MAY_NO_LONGER_BE_UPDATED,
            )
        except FixedAttributesChanged as error:
            return Outcome(
                status=Status.NO_SUCH_ATTRIBUTE,
                comment=error.message,
                attribute_identifiers=error.tags,
            )
        except FinalAttributesMissing as error:
            return _refused(
                standard.Fault(Status.MISSING_ATTRIBUTE_VALUE, error.tags, error.message),
                attributes,
            )
        return Outcome(status=Status.SUCCESS)

    def _get(self, actor: Actor, request: dimse.NGetRequest) -> Outcome:
        def get(tx: Tx) -> PerformedStep:
            uid = request.requested_sop_instance_uid
            return worklist.performed_step(tx, actor, uid, now=self._clock())

        known = from_json(self._pool.run_here(get).attributes)
        wanted = request.attribute_identifier_list or tuple(known)
        # PS3.7 10.1.2.1.9: an empty list asks for all.
        found = DataSet({tag: known[tag] for tag in wanted if tag in known})
        if SPECIFIC_CHARACTER_SET in known:
            found[SPECIFIC_CHARACTER_SET] = known[SPECIFIC_CHARACTER_SET]
        return Outcome(status=Status.SUCCESS, data_set=found.sorted())


def _refused(fault: standard.Fault, attributes: DataSet) -> Outcome:
    """A refusal that names the attributes at fault, as a list or, with their values, as a data set.

    Standard: PS3.7 C.4.2, C.5.9, C.5.13, C.5.14
    """
    named = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in fault.tags)
    comment = f"{fault.comment} {named}"[:64]
    if fault.status == Status.MISSING_ATTRIBUTE:
        return Outcome(status=fault.status, comment=comment, attribute_identifiers=fault.tags)
    at_fault = DataSet({tag: attributes[tag] for tag in fault.tags if tag in attributes})
    if at_fault and SPECIFIC_CHARACTER_SET in attributes:
        at_fault[SPECIFIC_CHARACTER_SET] = attributes[SPECIFIC_CHARACTER_SET]
    return Outcome(
        status=fault.status, comment=comment, data_set=at_fault.sorted() if at_fault else None
    )


def step_start(
    sop_instance_uid: str, attributes: DataSet, zone: tzinfo, *, latest: datetime
) -> StepStart:
    """What a modality says when it begins; a clock that runs ahead of ours began at ``latest``."""
    said_at = _moment(attributes, standard.START_DATE, standard.START_TIME, zone) or latest
    return StepStart(
        sop_instance_uid=sop_instance_uid,
        performed_procedure_step_id=attributes.text(standard.STEP_ID),
        performed_station_ae_title=attributes.text(standard.STATION_AE_TITLE),
        modality=attributes.text(standard.MODALITY),
        patient_id=attributes.text(standard.PATIENT_ID) or None,
        patient_name=attributes.text(standard.PATIENT_NAME) or None,
        started_at=min(said_at, latest),
        references=tuple(
            _reference(item) for item in attributes.sequence(standard.SCHEDULED_STEP_ATTRIBUTES)
        ),
        series=_series(attributes),
        attributes=to_json(attributes),
    )


def step_update(attributes: DataSet, zone: tzinfo) -> StepUpdate:
    """What a modality says later."""
    status = attributes.text(standard.STATUS)
    reason = attributes.item(standard.DISCONTINUATION_REASON)
    return StepUpdate(
        status=PerformedStatus(status) if status else None,
        ended_at=_moment(attributes, standard.END_DATE, standard.END_TIME, zone),
        reason=_reason(reason) if reason else None,
        series=_series(attributes) if standard.PERFORMED_SERIES in attributes else None,
        attributes=to_json(attributes),
    )


def _moment(attributes: DataSet, date_tag: int, time_tag: int, zone: tzinfo) -> datetime | None:
    found = combine(attributes.text(date_tag), attributes.text(time_tag))
    if found is None:
        return None
    offset = parse_offset(attributes.text(_TIMEZONE_OFFSET))
    return found.replace(tzinfo=offset or zone)


def _reference(item: DataSet) -> ScheduledReference:
    return ScheduledReference(
        study_instance_uid=item.text(standard.STUDY_INSTANCE_UID),
        accession_number=item.text(standard.ACCESSION_NUMBER),
        requested_procedure_id=item.text(standard.REQUESTED_PROCEDURE_ID),
        scheduled_procedure_step_id=item.text(standard.SCHEDULED_PROCEDURE_STEP_ID),
    )


def _reason(code: DataSet) -> Reason:
    return Reason(code.text(_CODE_VALUE), code.text(_CODING_SCHEME), code.text(_CODE_MEANING))


def _series(attributes: DataSet) -> tuple[PerformedSeries, ...]:
    """The series of a step; what is said of one series in several items belongs together."""
    made: dict[str, dict[str, None]] = {}
    for item in attributes.sequence(standard.PERFORMED_SERIES):
        objects = made.setdefault(item.text(standard.SERIES_INSTANCE_UID), {})
        objects.update(dict.fromkeys(standard.referenced_instances(item)))
    return tuple(PerformedSeries(uid, tuple(objects)) for uid, objects in made.items())
