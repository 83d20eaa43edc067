"""What C-FIND searches, by information model, and what C-MOVE and C-GET send."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from isocenter.app.runtime import Runtime
from isocenter.app.tls_contexts import dicom_client_context
from isocenter.gateways.dimse.find import StudyQuery
from isocenter.gateways.dimse.ports import Query, Retrieve
from isocenter.gateways.dimse.query import (
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
)
from isocenter.gateways.dimse.retrieve_plan import StudyRetrieval
from isocenter.gateways.dimse.ups_query import ProcedureStepQuery
from isocenter.gateways.dimse.worklist import ModalityWorklist
from isocenter.standards.dicom import unified_procedure_step


def queries(runtime: Runtime) -> Mapping[str, Query]:
    """The queries that are served, by SOP class UID."""
    worklist = ModalityWorklist(
        runtime.pool, clock=runtime.clock, time_zone=runtime.settings.time_zone
    )
    zone = ZoneInfo(runtime.settings.time_zone)
    studies = StudyQuery(
        runtime.pool, clock=runtime.clock, ae_title=runtime.settings.ae_title, zone=zone
    )
    steps = ProcedureStepQuery(runtime.pool, clock=runtime.clock, zone=zone)
    return {
        MODALITY_WORKLIST_FIND: worklist,
        PATIENT_ROOT_FIND: studies,
        STUDY_ROOT_FIND: studies,
        unified_procedure_step.PULL: steps,
        unified_procedure_step.WATCH: steps,
        unified_procedure_step.QUERY: steps,
    }


def retrieval(runtime: Runtime) -> Retrieve:
    """What is sent to whom by C-MOVE and C-GET.

    Raises:
        TlsFilesUnusable: the certificates for calling peers cannot be used.
    """
    settings = runtime.settings
    return StudyRetrieval(
        runtime.pool,
        clock=runtime.clock,
        ae_title=settings.ae_title,
        tls=dicom_client_context(settings),
    )
