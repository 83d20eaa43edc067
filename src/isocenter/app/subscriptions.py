"""Who reacts to which event: the whole wiring between the stages, in one table.

Every process has the same table, because an event is addressed to its subscribers when it is
written. Only the worker runs the reactions.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from isocenter.domain.archive.events import (
    ConflictingInstanceKept,
    InstancesAdmitted,
    InstancesRejected,
    InstancesRestored,
    RejectionNoteKept,
    StudyCompleted,
    StudyPlaced,
)
from isocenter.domain.distribution import service as distribution
from isocenter.domain.identity.events import (
    PatientMerged,
    PatientRegistered,
    PatientUnmerged,
    PatientUpdated,
    VisitMoved,
    VisitRenumbered,
)
from isocenter.domain.orders import handlers as orders
from isocenter.domain.orders.events import (
    OrderCancelled,
    OrderDiscontinued,
    OrderHeld,
    OrderPlaced,
    OrderReleased,
    OrderRevised,
)
from isocenter.domain.peers import service as peers
from isocenter.domain.reading import handlers as reading
from isocenter.domain.reading.events import ArchivingRequested
from isocenter.domain.reconcile import handlers as reconcile
from isocenter.domain.reporting import handlers as reporting
from isocenter.domain.reporting.events import ReportSigned
from isocenter.domain.scheduling.events import (
    StepBooked,
    StepCancelled,
    StepMoved,
    StepStatusChanged,
)
from isocenter.domain.worklist import handlers as worklist
from isocenter.domain.worklist.events import StepForwardDue, StepPerformed, WorkitemReportDue
from isocenter.infra.db import Tx
from isocenter.infra.outbox import BatchHandler, GiveUp, Handler, Router, Subscription

_UTC = ZoneInfo("UTC")


def route_report(tx: Tx, event: ReportSigned, *, now: datetime) -> None:
    """Queue a signed report for every HL7 peer that gets results from us."""
    recipients = [peer.name for peer in peers.hl7_recipients(tx, "oru")]
    distribution.route(
        tx,
        recipients,
        report_id=event.report_id,
        version=event.version,
        accession_number=event.accession_number,
        now=now,
    )


def route_images(zone: ZoneInfo) -> Handler:
    """The reaction that queues images for the DICOM peers that are to have them.

    Args:
        zone: where the department lives: routes know the time of day there.
    """

    def react(tx: Tx, event: InstancesAdmitted | StudyCompleted, /, *, now: datetime) -> None:
        distribution.route_images(
            tx,
            event.study_instance_uid,
            complete=isinstance(event, StudyCompleted),
            local_time=now.astimezone(zone).time(),
            now=now,
        )

    return react


def _nothing(tx: Tx, event: Any, /, *, now: datetime) -> None:
    """Stands for a reaction that is switched off."""
    del tx, event, now


def route_note(tx: Tx, event: RejectionNoteKept, *, now: datetime) -> None:
    """Queue a rejection note for the DICOM peers that got images of its study."""
    study, note = event.study_instance_uid, event.note_sop_instance_uid
    distribution.route_note(tx, study, note, event.code, now=now)


def only_in_the_worker(tx: Tx, event: Any, /, *, now: datetime) -> None:
    """Stands for a reaction that this process never runs."""
    del tx, now
    raise GiveUp(f"{event.name} is handled by the worker")


def router(  # noqa: PLR0913 - one for each part that only the worker has
    *,
    build_metadata: Handler = only_in_the_worker,
    carry_objects: Handler = only_in_the_worker,
    want_renditions: Handler = only_in_the_worker,
    forward_step: Handler = only_in_the_worker,
    report_workitem: Handler = only_in_the_worker,
    write_note: Handler = only_in_the_worker,
    write_findings: Handler = only_in_the_worker,
    archive_signed: bool = True,
    zone: ZoneInfo = _UTC,
) -> Router:
    """The table. What is given here needs parts or settings that only the worker has."""
    send_images = route_images(zone)
    table: tuple[tuple[str, type[Any], Handler], ...] = (
        ("worklist.publish", StepBooked, worklist.on_step_booked),
        ("worklist.withdraw", StepCancelled, worklist.on_step_cancelled),
        ("worklist.finish", StepStatusChanged, worklist.on_step_status_changed),
        ("worklist.order_revised", OrderRevised, worklist.on_exam_renamed),
        ("orders.visit_moved", VisitMoved, orders.on_visit_moved),
        ("orders.visit_renumbered", VisitRenumbered, orders.on_visit_renumbered),
        ("worklist.hold", OrderHeld, worklist.on_order_held),
        ("worklist.release", OrderReleased, worklist.on_order_released),
        ("worklist.step_moved", StepMoved, worklist.on_exam_renamed),
        ("worklist.performed", StepPerformed, worklist.on_step_performed),
        ("worklist.route_step", StepPerformed, worklist.on_step_to_be_told),
        ("reconcile.performed", StepPerformed, reconcile.on_step_performed),
        ("reconcile.images", InstancesAdmitted, reconcile.on_images_changed),
        ("reconcile.conflict", ConflictingInstanceKept, reconcile.on_images_changed),
        ("reconcile.completion", StudyCompleted, reconcile.on_images_changed),
        ("reconcile.order_placed", OrderPlaced, reconcile.on_order_changed),
        ("reconcile.order_revised", OrderRevised, reconcile.on_order_changed),
        ("reconcile.order_cancelled", OrderCancelled, reconcile.on_order_changed),
        ("reconcile.order_discontinued", OrderDiscontinued, reconcile.on_order_changed),
        ("reconcile.patient_registered", PatientRegistered, reconcile.on_patient_changed),
        ("reconcile.patient_updated", PatientUpdated, reconcile.on_patient_changed),
        ("reconcile.patient_merged", PatientMerged, reconcile.on_patient_changed),
        ("reconcile.patient_unmerged", PatientUnmerged, reconcile.on_patient_changed),
        ("reading.signed", ReportSigned, reading.on_report_signed if archive_signed else _nothing),
        ("reporting.patient_merged", PatientMerged, reporting.on_identity_changed),
        ("reporting.patient_unmerged", PatientUnmerged, reporting.on_identity_changed),
        ("distribution.route", ReportSigned, route_report),
        ("distribution.images", InstancesAdmitted, send_images),
        ("distribution.note", RejectionNoteKept, route_note),
        ("distribution.study", StudyCompleted, send_images),
        ("archive.renditions", StudyCompleted, want_renditions),
    )
    together: dict[Handler, BatchHandler] = {
        worklist.on_step_booked: worklist.on_steps_booked,
        reconcile.on_order_changed: reconcile.on_orders_changed,
        reconcile.on_patient_changed: reconcile.on_patients_changed,
    }
    plain = [
        Subscription(
            event=event, subscriber=subscriber, handler=handler, together=together.get(handler)
        )
        for subscriber, event, handler in table
    ]
    # Metadata only saves time for viewers: it is made again when asked for, so a failure may rest.
    metadata = Subscription(
        event=StudyCompleted,
        subscriber="archive.metadata",
        handler=build_metadata,
        attempts_max=4,
        external=True,
    )
    carriers = [
        Subscription(
            event=event,
            subscriber=subscriber,
            handler=carry_objects,
            # A store may be away for days: about a week of trying.
            attempts_max=200,
            backoff_max_s=3600.0,
            external=True,
        )
        for subscriber, event in (
            ("archive.keep", StudyCompleted),
            ("archive.move", StudyPlaced),
        )
    ]
    carriers += [
        Subscription(
            event=event,
            subscriber=subscriber,
            handler=write_note,
            attempts_max=200,
            backoff_max_s=600.0,
            external=True,
        )
        for subscriber, event in (
            ("archive.write_rejection", InstancesRejected),
            ("archive.write_restoration", InstancesRestored),
        )
    ]
    forwarder = Subscription(
        event=StepForwardDue,
        subscriber="worklist.forward_step",
        handler=forward_step,
        attempts_max=200,
        backoff_max_s=600.0,
        external=True,
    )
    findings = Subscription(
        event=ArchivingRequested,
        subscriber="reading.write_findings",
        handler=write_findings,
        attempts_max=50,
        backoff_max_s=600.0,
        external=True,
    )
    reporter = Subscription(
        event=WorkitemReportDue,
        subscriber="worklist.report_workitem",
        handler=report_workitem,
        # The handler gives up after a day, which has fewer attempts than this.
        attempts_max=600,
        external=True,
    )
    return Router([*plain, metadata, *carriers, forwarder, findings, reporter])
