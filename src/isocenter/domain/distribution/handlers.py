"""Reactions of distribution: a signed report goes to everyone who gets reports."""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.archive.events import InstancesSplit
from isocenter.domain.distribution import service
from isocenter.domain.distribution.service.merges import resend_reports
from isocenter.domain.identity.events import PatientMerged, PatientUnmerged
from isocenter.domain.peers.service import hl7_recipients
from isocenter.domain.reconcile.events import StudyCorrected
from isocenter.domain.reporting.events import ReportSigned
from isocenter.infra.db import Tx


def on_report_signed(tx: Tx, event: ReportSigned, *, now: datetime) -> None:
    """Queue the new version for every peer that gets results."""
    on_reports_signed(tx, [event], now=now)


def on_reports_signed(tx: Tx, events: Sequence[ReportSigned], *, now: datetime) -> None:
    """As ``on_report_signed`` for several versions."""
    service.route_all(
        tx,
        [each.name for each in hl7_recipients(tx, "oru")],
        [(each.report_id, each.version, each.accession_number) for each in events],
        now=now,
    )


def on_study_corrected(tx: Tx, event: StudyCorrected, *, now: datetime) -> None:
    """Tell every peer that holds the study what its images say now."""
    service.resend_corrected(tx, event.study_instance_uid, now=now)


def on_instances_split(tx: Tx, event: InstancesSplit, *, now: datetime) -> None:
    """Send the images anew to every peer that holds them, as what they are now."""
    service.send_split(tx, event.study_instance_uid, event.to_study_instance_uid, now=now)


def on_patient_merged(tx: Tx, event: PatientMerged | PatientUnmerged, *, now: datetime) -> None:
    """Send the reports about the moved records' exams again, to who is not told of merges."""
    resend_reports(tx, [event.prior_key, *event.moved_keys], now=now)
