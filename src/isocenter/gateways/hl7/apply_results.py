"""What ORU, MDM, DFT and BAR messages say, kept.

Standard: HL7 v2.5.1 chapters 6, 7 and 9.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.reporting import service_external as external
from isocenter.gateways.hl7.translate_results import ResultChange
from isocenter.infra.db import Tx


def apply_results(
    tx: Tx, actor: Actor, changes: Sequence[ResultChange], *, now: datetime
) -> list[str]:
    """Keep what each of the changes says; one line for each, without patient data.

    Raises what the services raise.
    """
    return [f"{each.title}: {_apply(tx, actor, each, now=now)}" for each in changes]


def _apply(tx: Tx, actor: Actor, change: ResultChange, *, now: datetime) -> str:
    key = identity.register(tx, actor, change.patient, now=now).patient_key
    filed = sum(external.file_document(tx, actor, key, each, now=now) for each in change.documents)
    kept = external.keep_observations(tx, actor, key, change.observations, now=now)
    parts = [
        f"{count} {what}"
        for count, what in (
            (filed, "documents"),
            (kept, "values"),
            (change.passed_over, "not kept here"),
        )
        if count
    ]
    return ", ".join(parts) or "nothing changed"
