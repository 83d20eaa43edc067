"""Reactions of reading."""

from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.reading.service.archiving import measured_studies, request_if_any
from isocenter.domain.reporting.events import ReportSigned
from isocenter.infra.db import Tx

_ACTOR = Actor.system("reading")


def on_report_signed(tx: Tx, event: ReportSigned, *, now: datetime) -> None:
    """Have what was measured for the report written into the archive."""
    for study_instance_uid in measured_studies(tx, event.accession_number):
        request_if_any(tx, _ACTOR, study_instance_uid, now=now)
