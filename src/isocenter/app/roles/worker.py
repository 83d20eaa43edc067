"""The background worker: runs the reactions to events and the periodic jobs."""

import os
import threading
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from isocenter.app.archive_jobs import archive_jobs
from isocenter.app.evidence import EvidenceWriter
from isocenter.app.expectations import expectations
from isocenter.app.following import SplitFollower
from isocenter.app.guarding import settle_conditions
from isocenter.app.housekeeping import house_jobs
from isocenter.app.interface_jobs import interface_jobs
from isocenter.app.jobs import Job, run_jobs
from isocenter.app.keeping import Keeper
from isocenter.app.noting import NoteWriter
from isocenter.app.outgoing_dicom import outgoing_thread
from isocenter.app.packing import Packer, PackLimits
from isocenter.app.reindexing import Reindexer
from isocenter.app.renditions import ProcessorShare, RenditionMaker
from isocenter.app.runtime import Runtime, opened, say_ready
from isocenter.app.scrubbing import Scrubber, repair_all
from isocenter.app.setting_values import names_in
from isocenter.app.settings import Settings
from isocenter.app.shelves import shelf_job
from isocenter.app.subscriptions import router
from isocenter.app.tls_contexts import dicom_client_context
from isocenter.app.workitems import ArchivedOutputs, report_restart, workitem_jobs
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.events import StudyCompleted
from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.worklist import service as worklist
from isocenter.gateways.dicomweb.metadata import series_metadata
from isocenter.gateways.dimse.mpps_forwarding import StepForwarder, StepNotifier
from isocenter.gateways.dimse.ups_reports import WorkitemReporter
from isocenter.infra import outbox
from isocenter.infra.db import Database, Tx
from isocenter.infra.supervise import stop_on_signals
from isocenter.readmodels import exam_ledger

_ACTOR = Actor.system("worker")
_ALARMS_S, _CONDITIONS_S = 15.0, 60.0
_SCRUB_S, _REPAIR_S = 15.0, 60.0
_RENDITIONS_S = 5.0
_PACKS_S = 15.0
# A scanner that never says that it has ended must not keep its images from being read.
_ACQUISITION_MAX = timedelta(hours=4)
# Where processors are short, whoever waits for an answer goes before the reactions to it.
_NICENESS = 5


def run(settings: Settings) -> None:
    """Work until stopped; what was begun is finished."""
    stop = stop_on_signals()
    os.nice(_NICENESS)
    with opened(settings, process="worker") as runtime:
        renderer = _rendition_maker(runtime, stop)
        packer = _packer(runtime, stop)
        tls = dicom_client_context(settings)
        table = router(
            build_metadata=_MetadataBuilder(runtime),
            carry_objects=Keeper(
                runtime.db,
                runtime.blobs,
                _ACTOR,
                runtime.clock,
                settings.store_copy,
                packs=bool(packer.stores),
            ),
            want_renditions=renderer.on_study_completed,
            want_packs=packer.on_study_completed,
            follow_split=SplitFollower(runtime.images, _ACTOR),
            forward_step=StepForwarder(ae_title=settings.ae_title, tls=tls),
            notify_step=StepNotifier(ae_title=settings.ae_title, tls=tls),
            write_findings=EvidenceWriter(
                runtime.db, runtime.blobs, _ACTOR, runtime.clock, ZoneInfo(settings.time_zone)
            ),
            archive_signed=settings.findings_archived_when_signed == "on",
            link_patients=settings.patient_links == "automatic",
            order_workitems=settings.order_workitems == "on",
            archived_outputs=ArchivedOutputs(settings.ae_title, settings.base_url),
            ae_title=settings.ae_title,
            write_note=NoteWriter(runtime.images, _ACTOR, ZoneInfo(settings.time_zone)),
            report_workitem=WorkitemReporter(ae_title=settings.ae_title, tls=tls),
            zone=ZoneInfo(settings.time_zone),
        )
        reactions = Database(
            runtime.db.url, router=table, application_name="isocenter-reactions", plans_once=True
        )
        dispatcher = outbox.Dispatcher(
            reactions, table, clock=runtime.clock, workers=2, external_workers=2
        )
        clockwork = threading.Thread(
            target=run_jobs,
            args=([*_jobs(runtime), *archive_jobs(runtime)], stop),
            name="jobs",
            daemon=True,
        )
        clockwork.start()
        # Reading everything back takes days: on a thread of its own it delays no other job.
        slow = threading.Thread(
            target=run_jobs, args=(_slow_jobs(runtime, stop), stop), name="slow-jobs", daemon=True
        )
        slow.start()
        rendering = threading.Thread(
            target=run_jobs,
            args=(_patient_jobs(runtime, renderer, packer, stop), stop),
            name="patient-jobs",
            daemon=True,
        )
        rendering.start()
        outgoing = outgoing_thread(runtime, stop)
        outgoing.start()
        report_restart(runtime)
        say_ready(stop.set)
        dispatcher.run(stop)
        clockwork.join(settings.drain_timeout_s)
        outgoing.join(settings.drain_timeout_s)
        slow.join(settings.drain_timeout_s)
        rendering.join(settings.drain_timeout_s)
        reactions.close()


def _jobs(runtime: Runtime) -> list[Job]:
    settings = runtime.settings
    expected = expectations(settings)

    def complete() -> int:
        now = runtime.clock()

        def quiet(tx: Tx) -> int:
            busy = worklist.studies_in_progress(tx, since=now - _ACQUISITION_MAX)
            return archive.complete_quiet_studies(
                tx, _ACTOR, quiet_s=settings.study_quiet_s, in_progress=busy, now=now
            )

        return runtime.pool.run_here(quiet)

    def alarms() -> int:
        now = runtime.clock()
        viewer = Viewer.of(_ACTOR, Action.EXAM_READ)

        def settle(tx: Tx) -> int:
            late = exam_ledger.late_hops(tx, viewer, now=now, expectations=expected)
            return sum(monitoring.settle_alarms(tx, late, now=now))

        return runtime.pool.run_here(settle)

    return [
        Job("complete_quiet_studies", min(5.0, settings.study_quiet_s / 4), complete),
        Job("settle_alarms", _ALARMS_S, alarms),
        *interface_jobs(runtime),
        *workitem_jobs(runtime),
        Job("settle_conditions", _CONDITIONS_S, lambda: settle_conditions(runtime)),
        *house_jobs(runtime),
        shelf_job(runtime),
    ]


def _slow_jobs(runtime: Runtime, stop: threading.Event) -> list[Job]:
    settings = runtime.settings
    if settings.scrub_pass_days == 0:
        return []
    scrubber = Scrubber(
        runtime.db,
        runtime.blobs,
        _ACTOR,
        runtime.clock,
        interval=timedelta(days=settings.scrub_pass_days),
        bytes_per_s=settings.scrub_bytes_per_s_max,
        wait=stop.wait,
        stopped=stop.is_set,
    )

    def repair() -> int:
        return repair_all(runtime.db, runtime.blobs, _ACTOR, clock=runtime.clock)

    # What readers found missing need not wait for the next pass.
    return [Job("scrub", _SCRUB_S, scrubber.run), Job("repair", _REPAIR_S, repair)]


def _patient_jobs(
    runtime: Runtime, renderer: RenditionMaker, packer: Packer, stop: threading.Event
) -> list[Job]:
    reindexer = Reindexer(runtime.db, runtime.blobs, _ACTOR, runtime.clock, stop.is_set)
    return [
        Job("reindex", _RENDITIONS_S, reindexer.run),
        Job("make_renditions", _RENDITIONS_S, renderer.run),
        Job("pack_series", _PACKS_S, packer.run),
    ]


def _rendition_maker(runtime: Runtime, stop: threading.Event) -> RenditionMaker:
    settings = runtime.settings
    return RenditionMaker(
        runtime.db,
        runtime.blobs,
        _ACTOR,
        runtime.clock,
        modalities=names_in(settings.rendition_modalities),
        share=ProcessorShare(settings.rendition_processor_percent, stop.wait),
        stopped=stop.is_set,
    )


def _packer(runtime: Runtime, stop: threading.Event) -> Packer:
    settings = runtime.settings
    return Packer(
        runtime.db,
        runtime.blobs,
        _ACTOR,
        runtime.clock,
        stores=names_in(settings.pack_stores),
        limits=PackLimits(settings.pack_object_bytes_max, settings.pack_bytes_max),
        stopped=stop.is_set,
    )


class _MetadataBuilder:
    """Makes the metadata of a complete study's series, so that the first viewer need not wait."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __call__(self, tx: Tx, event: StudyCompleted, /, *, now: datetime) -> None:
        """Build what is missing."""
        del now
        viewer = Viewer.of(_ACTOR, Action.STUDY_READ)
        for series in archive.series_of(tx, viewer, event.study_instance_uid):
            series_metadata(self._runtime.db, self._runtime.images, viewer, series)
