"""Who reacts to which event: the whole wiring between the stages, in one table.

Every process has the same table, because an event is addressed to its subscribers when it is
written. Only the worker runs the reactions.
"""

from datetime import datetime
from typing import Any, TypedDict, Unpack
from zoneinfo import ZoneInfo

from isocenter.domain.archive.events import (
    ConflictingInstanceKept,
    InstancesAdmitted,
    InstancesRejected,
    InstancesRestored,
    InstancesSplit,
    RejectionNoteKept,
    SplitOutgrown,
    StudyCompleted,
    StudyPlaced,
)
from isocenter.domain.distribution import handlers as sending
from isocenter.domain.distribution import handlers_messages as telling
from isocenter.domain.distribution import service as distribution
from isocenter.domain.identity import handlers as identity
from isocenter.domain.identity.events import (
    IdentifierMoved,
    IdentifierReplaced,
    PatientLinked,
    PatientMerged,
    PatientRegistered,
    PatientUnlinked,
    PatientUnmerged,
    PatientUpdated,
    VisitMoved,
    VisitRenumbered,
)
from isocenter.domain.orders import handlers as orders
from isocenter.domain.orders.events import (
    OrderCancelled,
    OrderCompleted,
    OrderDiscontinued,
    OrderHeld,
    OrderPlaced,
    OrderReleased,
    OrderReopened,
    OrderRevised,
    OrderStarted,
)
from isocenter.domain.reading import handlers as reading
from isocenter.domain.reading.events import ArchivingRequested
from isocenter.domain.reconcile import handlers as reconcile
from isocenter.domain.reconcile.events import StudyCorrected
from isocenter.domain.reporting import handlers as reporting
from isocenter.domain.reporting.events import ReportSigned
from isocenter.domain.scheduling import handlers as scheduling
from isocenter.domain.scheduling.events import (
    AppointmentKept,
    StepBooked,
    StepCancelled,
    StepMoved,
    StepStatusChanged,
)
from isocenter.domain.worklist import handlers as worklist
from isocenter.domain.worklist.events import (
    StepForwardDue,
    StepNotificationDue,
    StepPerformed,
    WorkitemPerformed,
    WorkitemReportDue,
)
from isocenter.domain.worklist.service import Archived, nothing_archived
from isocenter.infra.db import Tx
from isocenter.infra.outbox import BatchHandler, GiveUp, Handler, Router, Subscription

_UTC = ZoneInfo("UTC")


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


class WorkerParts(TypedDict, total=False):
    """What only the worker has: reactions that need parts of it, and settings for others.

    Attributes:
        archive_signed: findings go into the archive when their report is signed.
        link_patients: records of surely one person are linked without asking.
        order_workitems: steps of orders are workitems, too.
        archived_outputs: what the archive has of an exam, which its completed workitem names.
        ae_title: ours.
        zone: where the department lives: routes know the time of day there.
    """

    build_metadata: Handler
    carry_objects: Handler
    want_renditions: Handler
    want_packs: Handler
    follow_split: Handler
    forward_step: Handler
    notify_step: Handler
    report_workitem: Handler
    write_note: Handler
    write_findings: Handler
    archive_signed: bool
    link_patients: bool
    order_workitems: bool
    archived_outputs: Archived
    ae_title: str
    zone: ZoneInfo


def router(**parts: Unpack[WorkerParts]) -> Router:
    """The table; without a part, the reactions that need it are left to the worker."""
    return Router([
        *_worklists(parts),
        *_reactions(parts),
        *_telling(),
        *_matching(parts),
        *_outside(parts),
    ])


def _worklists(parts: WorkerParts) -> list[Subscription]:
    """The reactions by which worklists follow the schedule, and that the modalities."""
    follower = worklist.WorkitemFollower(
        create=parts.get("order_workitems", False),
        ae_title=parts.get("ae_title", "ISOCENTER"),
        archived=parts.get("archived_outputs", nothing_archived),
    )
    table: tuple[tuple[str, type[Any], Handler], ...] = (
        ("worklist.withdraw", StepCancelled, worklist.on_step_cancelled),
        ("worklist.finish", StepStatusChanged, worklist.on_step_status_changed),
        ("worklist.order_revised", OrderRevised, worklist.on_exam_renamed),
        ("worklist.hold", OrderHeld, worklist.on_order_held),
        ("worklist.release", OrderReleased, worklist.on_order_released),
        ("worklist.step_moved", StepMoved, worklist.on_exam_renamed),
    )
    patients: tuple[tuple[str, type[Any]], ...] = (
        ("worklist.patient_updated", PatientUpdated),
        ("worklist.patient_merged", PatientMerged),
        ("worklist.patient_unmerged", PatientUnmerged),
        ("worklist.identifier_moved", IdentifierMoved),
    )
    return [
        Subscription(
            event=StepBooked,
            subscriber="worklist.publish",
            handler=follower.after(worklist.on_step_booked),
            together=follower.after_several(worklist.on_steps_booked),
        ),
        *(
            Subscription(event=event, subscriber=subscriber, handler=follower.after(handler))
            for subscriber, event, handler in table
        ),
        *(
            Subscription(
                event=event,
                subscriber=subscriber,
                handler=worklist.on_patient_changed,
                together=worklist.on_patients_changed,
            )
            for subscriber, event in patients
        ),
        Subscription(
            event=WorkitemPerformed,
            subscriber="worklist.workitem_performed",
            handler=worklist.on_workitem_performed,
        ),
    ]


def _reactions(parts: WorkerParts) -> list[Subscription]:
    """The reactions that change our own state."""
    send_images = route_images(parts.get("zone", _UTC))
    archive_signed = parts.get("archive_signed", True)
    want_renditions = parts.get("want_renditions", only_in_the_worker)
    table: tuple[tuple[str, type[Any], Handler], ...] = (
        ("scheduling.order_placed", OrderPlaced, scheduling.on_order_placed),
        ("orders.visit_moved", VisitMoved, orders.on_visit_moved),
        ("orders.visit_renumbered", VisitRenumbered, orders.on_visit_renumbered),
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
        ("reconcile.identifier_moved", IdentifierMoved, reconcile.on_patient_changed),
        ("reconcile.step_moved", StepMoved, reconcile.on_step_moved),
        ("reconcile.rejected", InstancesRejected, reconcile.on_images_changed),
        ("reconcile.restored", InstancesRestored, reconcile.on_images_changed),
        ("archive.follow_split", SplitOutgrown, parts.get("follow_split", only_in_the_worker)),
        ("distribution.split", InstancesSplit, sending.on_instances_split),
        ("distribution.reports_merged", PatientMerged, sending.on_patient_merged),
        ("distribution.reports_unmerged", PatientUnmerged, sending.on_patient_merged),
        ("distribution.corrected", StudyCorrected, sending.on_study_corrected),
        ("reading.signed", ReportSigned, reading.on_report_signed if archive_signed else _nothing),
        ("reporting.patient_merged", PatientMerged, reporting.on_identity_changed),
        ("reporting.patient_unmerged", PatientUnmerged, reporting.on_identity_changed),
        ("distribution.route", ReportSigned, sending.on_report_signed),
        ("distribution.images", InstancesAdmitted, send_images),
        ("distribution.note", RejectionNoteKept, route_note),
        ("distribution.study", StudyCompleted, send_images),
        ("archive.renditions", StudyCompleted, want_renditions),
        ("archive.packs", StudyCompleted, parts.get("want_packs", only_in_the_worker)),
    )
    together: dict[Handler, BatchHandler] = {
        scheduling.on_order_placed: scheduling.on_orders_placed,
        reconcile.on_order_changed: reconcile.on_orders_changed,
        reconcile.on_patient_changed: reconcile.on_patients_changed,
        sending.on_report_signed: sending.on_reports_signed,
    }
    return [
        Subscription(
            event=event, subscriber=subscriber, handler=handler, together=together.get(handler)
        )
        for subscriber, event, handler in table
    ]


def _telling() -> list[Subscription]:
    """The reactions that tell other systems in HL7."""
    table: tuple[tuple[str, type[Any], Handler], ...] = (
        ("distribution.order_placed", OrderPlaced, telling.on_order_placed),
        ("distribution.order_revised", OrderRevised, telling.on_order_revised),
        ("distribution.order_cancelled", OrderCancelled, telling.on_order_ended),
        ("distribution.order_discontinued", OrderDiscontinued, telling.on_order_ended),
        ("distribution.order_held", OrderHeld, telling.on_order_held),
        ("distribution.order_released", OrderReleased, telling.on_order_released),
        ("distribution.order_started", OrderStarted, telling.on_order_progress),
        ("distribution.order_completed", OrderCompleted, telling.on_order_progress),
        ("distribution.order_reopened", OrderReopened, telling.on_order_progress),
        ("distribution.charged", ReportSigned, telling.on_report_signed),
        ("distribution.step_moved", StepMoved, telling.on_step_moved),
        ("distribution.step_cancelled", StepCancelled, telling.on_step_cancelled),
        ("distribution.appointment_kept", AppointmentKept, telling.on_appointment_kept),
        ("distribution.patient_registered", PatientRegistered, telling.on_patient_known),
        ("distribution.patient_updated", PatientUpdated, telling.on_patient_known),
        ("distribution.patient_merged", PatientMerged, telling.on_patient_merged),
        ("distribution.patient_unmerged", PatientUnmerged, telling.on_patient_unmerged),
        ("distribution.patient_linked", PatientLinked, telling.on_patient_linked),
        ("distribution.patient_unlinked", PatientUnlinked, telling.on_patient_linked),
        ("distribution.identifier_moved", IdentifierMoved, telling.on_identifier_moved),
        ("distribution.identifier_replaced", IdentifierReplaced, telling.on_identifier_replaced),
        ("distribution.visit_moved", VisitMoved, telling.on_visit_moved),
    )
    together: dict[Handler, BatchHandler] = {
        telling.on_order_placed: telling.on_orders_placed,
        telling.on_patient_known: telling.on_patients_known,
        telling.on_report_signed: telling.on_reports_signed,
    }
    return [
        Subscription(
            event=event, subscriber=subscriber, handler=handler, together=together.get(handler)
        )
        for subscriber, event, handler in table
    ]


def _matching(parts: WorkerParts) -> list[Subscription]:
    """The reactions that look for records of one person."""
    one, several = identity.on_patient_changed, identity.on_patients_changed
    if parts.get("link_patients", False):
        one, several = identity.on_patient_changed_linking, identity.on_patients_changed_linking
    table: tuple[tuple[str, type[Any]], ...] = (
        ("identity.match_registered", PatientRegistered),
        ("identity.match_updated", PatientUpdated),
        ("identity.match_unmerged", PatientUnmerged),
    )
    return [
        Subscription(event=event, subscriber=subscriber, handler=one, together=several)
        for subscriber, event in table
    ]


def _outside(parts: WorkerParts) -> list[Subscription]:
    """The reactions that act outside the database: how often they are tried, how long between."""
    carry_objects = parts.get("carry_objects", only_in_the_worker)
    write_note = parts.get("write_note", only_in_the_worker)
    table: tuple[tuple[str, type[Any], Handler, int, float], ...] = (
        # It only saves time for viewers: it is made again when asked for, so a failure may rest.
        (
            "archive.metadata",
            StudyCompleted,
            parts.get("build_metadata", only_in_the_worker),
            4,
            300.0,
        ),
        # A store may be away for days: about a week of trying.
        ("archive.keep", StudyCompleted, carry_objects, 200, 3600.0),
        ("archive.move", StudyPlaced, carry_objects, 200, 3600.0),
        ("archive.write_rejection", InstancesRejected, write_note, 200, 600.0),
        ("archive.write_restoration", InstancesRestored, write_note, 200, 600.0),
        (
            "worklist.forward_step",
            StepForwardDue,
            parts.get("forward_step", only_in_the_worker),
            200,
            600.0,
        ),
        (
            "worklist.notify_step",
            StepNotificationDue,
            parts.get("notify_step", only_in_the_worker),
            200,
            600.0,
        ),
        # The handler gives up after a day, which has fewer attempts than this.
        (
            "worklist.report_workitem",
            WorkitemReportDue,
            parts.get("report_workitem", only_in_the_worker),
            600,
            300.0,
        ),
        (
            "reading.write_findings",
            ArchivingRequested,
            parts.get("write_findings", only_in_the_worker),
            50,
            600.0,
        ),
    )
    return [
        Subscription(
            event=event,
            subscriber=subscriber,
            handler=handler,
            attempts_max=attempts_max,
            backoff_max_s=backoff_max_s,
            external=True,
        )
        for subscriber, event, handler, attempts_max, backoff_max_s in table
    ]
