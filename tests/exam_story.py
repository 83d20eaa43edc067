"""A small department for tests: real services on a real database, with all reactions connected.

Each method is one fact as a gateway would bring it. Reactions run when ``drain`` is called.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from isocenter.domain.access.model import Action, Actor, ActorKind, Role, Viewer, actions_of
from isocenter.domain.archive import events as archive_events
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import ReceivedInstance
from isocenter.domain.distribution import handlers as distribution_handlers
from isocenter.domain.identity import events as identity_events
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.orders import events as order_events
from isocenter.domain.orders.model import OrderFacts, OrderReference, ProcedureFacts, StepFacts
from isocenter.domain.reconcile import handlers as reconcile_handlers
from isocenter.domain.reconcile.events import StudyCorrected
from isocenter.domain.reporting.events import ReportSigned
from isocenter.domain.scheduling import events as scheduling_events
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist import handlers as worklist_handlers
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.events import StepPerformed
from isocenter.domain.worklist.model import (
    PerformedSeries,
    PerformedStatus,
    Reason,
    ScheduledReference,
    StepStart,
    StepUpdate,
)
from isocenter.infra.db import Database
from isocenter.infra.outbox import Dispatcher, Router, Subscription
from tests.fakes.clock import FixedClock
from tests.image_builders import NOW

EHR = Actor.hl7_peer("ehr", "10.0.0.9", ["adt", "orm"])
MODALITY = Actor.dicom_peer("ct1", "10.0.0.1", ["store", "worklist", "mpps"])
WRONG_ENTRY = Reason("110514", "DCM", "Incorrect worklist entry selected")
SYSTEM = Actor.system("test")


def a_user(role: Role, name: str = "") -> Actor:
    """A signed-in person of this role."""
    name = name or role.value
    return Actor(ActorKind.USER, name, actions_of([role]), "10.0.0.5", display_name=name.title())


def router() -> Router:
    """Every reaction of the stages up to distribution."""
    reactions = [
        (reconcile_handlers.on_images_changed, archive_events.InstancesAdmitted),
        (reconcile_handlers.on_images_changed, archive_events.ConflictingInstanceKept),
        (reconcile_handlers.on_images_changed, archive_events.StudyCompleted),
        (reconcile_handlers.on_images_changed, archive_events.InstancesRejected),
        (reconcile_handlers.on_images_changed, archive_events.InstancesRestored),
        (reconcile_handlers.on_step_moved, scheduling_events.StepMoved),
        (reconcile_handlers.on_order_changed, order_events.OrderPlaced),
        (reconcile_handlers.on_order_changed, order_events.OrderRevised),
        (reconcile_handlers.on_order_changed, order_events.OrderCancelled),
        (reconcile_handlers.on_order_changed, order_events.OrderDiscontinued),
        (reconcile_handlers.on_patient_changed, identity_events.PatientRegistered),
        (reconcile_handlers.on_patient_changed, identity_events.PatientUpdated),
        (reconcile_handlers.on_patient_changed, identity_events.PatientMerged),
        (reconcile_handlers.on_patient_changed, identity_events.PatientUnmerged),
        (reconcile_handlers.on_patient_changed, identity_events.IdentifierMoved),
        (worklist_handlers.on_step_booked, scheduling_events.StepBooked),
        (worklist_handlers.on_step_cancelled, scheduling_events.StepCancelled),
        (worklist_handlers.on_step_status_changed, scheduling_events.StepStatusChanged),
        (worklist_handlers.on_exam_renamed, scheduling_events.StepMoved),
        (worklist_handlers.on_exam_renamed, order_events.OrderRevised),
        (worklist_handlers.on_step_performed, StepPerformed),
        (reconcile_handlers.on_step_performed, StepPerformed),
        (distribution_handlers.on_report_signed, ReportSigned),
        (distribution_handlers.on_study_corrected, StudyCorrected),
    ]
    return Router(
        Subscription(
            event=event,
            subscriber=f"{event.name}>{handler.__module__}.{handler.__name__}",
            handler=handler,
        )
        for handler, event in reactions
    )


def a_patient(identifier: str = "P-1", *, asserted_at: datetime = NOW, **facts) -> PatientFacts:
    """Facts about Phantom^Ada."""
    said = {"person_name": "Phantom^Ada", "birth_date": date(1970, 1, 1), "sex": "F", **facts}
    return PatientFacts((PatientIdentifier(identifier, "HOSP"),), asserted_at, **said)


def an_order(
    accession_number: str = "A1",
    *,
    asserted_at: datetime = NOW,
    start_at: datetime = NOW,
    study_instance_uid: str | None = None,
    **facts,
) -> OrderFacts:
    """An order for one CT."""
    return OrderFacts(
        asserted_at=asserted_at,
        placer_order_number=f"PL-{accession_number}",
        placer_namespace="EHR",
        accession_number=accession_number,
        procedures=(
            ProcedureFacts(
                requested_procedure_id="RP1",
                study_instance_uid=study_instance_uid,
                description="CT head",
                steps=(StepFacts(modality="CT", station_ae_titles=("CT1",), start_at=start_at),),
            ),
        ),
        **facts,
    )


def a_step_start(
    uid: str, *references: ScheduledReference, at: datetime = NOW, **facts
) -> StepStart:
    """What CT1 says when it begins."""
    said = {
        "performed_procedure_step_id": "PPS1",
        "performed_station_ae_title": "CT1",
        "modality": "CT",
        "patient_id": "P-1",
        "patient_name": "Phantom^Ada",
        "series": (),
        "attributes": {"00400253": {"vr": "SH", "Value": ["PPS1"]}},
        **facts,
    }
    return StepStart(sop_instance_uid=uid, started_at=at, references=references, **said)


def a_step_end(
    status: PerformedStatus | None = PerformedStatus.COMPLETED,
    *,
    at: datetime = NOW,
    reason: Reason | None = None,
    series: dict[str, Sequence[str]] | None = None,
) -> StepUpdate:
    """What a modality says at the end; ``series``: SOP Instance UIDs by Series Instance UID."""
    attributes = {
        "00400250": {"vr": "DA", "Value": [f"{at:%Y%m%d}"]},
        "00400251": {"vr": "TM", "Value": [f"{at:%H%M%S}"]},
    }
    if series is not None:
        attributes["00400340"] = {"vr": "SQ", "Value": list(series)}
    made = series and tuple(PerformedSeries(uid, tuple(sops)) for uid, sops in series.items())
    return StepUpdate(
        status=status, ended_at=at, reason=reason, series=made or None, attributes=attributes
    )


@dataclass
class Department:
    """Services on a database. ``now`` is what every fact is told."""

    database: Database
    now: datetime = NOW
    clock: FixedClock = field(default_factory=FixedClock)

    def __post_init__(self) -> None:
        self.router = router()
        self.database.router = self.router

    @property
    def viewer(self) -> Viewer:
        """A ticket for everything."""
        return Viewer.of(SYSTEM, Action.EXAM_READ)

    def advance(self, **amount: float) -> None:
        """Let time pass."""
        self.now += timedelta(**amount)

    def drain(self) -> None:
        """Run every reaction that is due; a failed one is a failed test."""
        self.clock.now = max(self.now, self.clock.now)
        Dispatcher(self.database, self.router, clock=self.clock, workers=1).run_once()
        with self.database.transaction() as tx:
            failed = tx.values(
                "select last_error from outbox.delivery where last_error is not null"
            )
        assert failed == []

    def register(self, patient: PatientFacts) -> None:
        with self.database.transaction() as tx:
            identity.register(tx, EHR, patient, now=self.now)

    def merge(self, survivor: PatientFacts, prior: str) -> None:
        with self.database.transaction() as tx:
            priors = [PatientIdentifier(prior, "HOSP")]
            identity.merge(tx, EHR, survivor, priors, now=self.now)

    def order(self, patient: PatientFacts, order: OrderFacts) -> None:
        with self.database.transaction() as tx:
            scheduling.place_order(tx, EHR, patient, order, now=self.now)

    def cancel(self, accession_number: str) -> None:
        with self.database.transaction() as tx:
            reference = OrderReference(accession_number=accession_number)
            scheduling.cancel_order(tx, EHR, reference, now=self.now)

    def receive(self, *images: ReceivedInstance) -> list[str]:
        with self.database.transaction() as tx:
            admissions = archive.admit(tx, MODALITY, images, now=self.now)
        return [each.outcome.value for each in admissions]

    def start(self, step: StepStart) -> None:
        with self.database.transaction() as tx:
            worklist.start(tx, MODALITY, step, now=self.now)

    def update(self, sop_instance_uid: str, said: StepUpdate) -> None:
        with self.database.transaction() as tx:
            worklist.update(tx, MODALITY, sop_instance_uid, said, now=self.now)

    def statuses(self, accession_number: str) -> list[str]:
        """The order's state, then the statuses of its steps and whether each is on the worklist."""
        with self.database.transaction() as tx:
            return tx.values(
                "select state from orders.imaging_order where accession_number = %(number)s"
                " union all (select status ||"
                "        case when withdrawn_at is null then '' else ' off' end"
                "   from scheduling.scheduled_procedure_step left join worklist.entry"
                "  using (step_key) where scheduled_procedure_step.accession_number = %(number)s"
                "  order by step_key)",
                {"number": accession_number},
            )

    def complete_studies(self, quiet_s: float = 60) -> int:
        with self.database.transaction() as tx:
            return archive.complete_quiet_studies(tx, SYSTEM, quiet_s=quiet_s, now=self.now)

    def all_facts(self, facts: Sequence) -> None:
        for each in facts:
            each(self)
