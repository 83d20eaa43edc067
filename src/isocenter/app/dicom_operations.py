"""The SOP classes of DIMSE-N that are served, and what performs their operations."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from isocenter.app.runtime import Runtime
from isocenter.gateways.dimse.commitment import CommitmentService
from isocenter.gateways.dimse.commitment_messages import STORAGE_COMMITMENT_PUSH
from isocenter.gateways.dimse.mpps import PerformedSteps
from isocenter.gateways.dimse.ports import NormalizedClass
from isocenter.gateways.dimse.ups import ProcedureSteps


def normalized_classes(runtime: Runtime) -> Mapping[str, NormalizedClass]:
    """The classes that are served, by SOP class UID."""
    zone = ZoneInfo(runtime.settings.time_zone)
    performed = PerformedSteps(runtime.pool, clock=runtime.clock, zone=zone)
    steps = ProcedureSteps(runtime.pool, clock=runtime.clock, zone=zone)
    commitment = CommitmentService(runtime.pool, clock=runtime.clock)
    return {**performed.classes(), **steps.classes(), STORAGE_COMMITMENT_PUSH: commitment.served()}
