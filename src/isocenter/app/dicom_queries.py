"""What C-FIND searches, by information model."""

from collections.abc import Mapping

from isocenter.app.runtime import Runtime
from isocenter.gateways.dimse.ports import Query
from isocenter.gateways.dimse.query import MODALITY_WORKLIST_FIND
from isocenter.gateways.dimse.worklist import ModalityWorklist


def queries(runtime: Runtime) -> Mapping[str, Query]:
    """The queries that are served, by SOP class UID."""
    worklist = ModalityWorklist(
        runtime.pool, clock=runtime.clock, time_zone=runtime.settings.time_zone
    )
    return {MODALITY_WORKLIST_FIND: worklist}
