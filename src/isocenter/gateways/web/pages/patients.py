"""Patients: who is who, which records may be one person, and the person who decides."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from isocenter.domain.identity import service as identity
from isocenter.gateways.web.patient_reads import (
    found_patients,
    opened_pair,
    opened_patient,
    questions,
)
from isocenter.gateways.web.web import InWeb, PatientViewer, SignedIn, seen_after

router = APIRouter(include_in_schema=False)

_PAIRS_MAX, _DECIDED_MAX = 100, 20
_SECTION = "/patients"
Reason = Annotated[str, Form(min_length=1, max_length=500)]


@router.get("/patients")
async def show(
    request: Request,
    web: InWeb,
    viewer: PatientViewer,
    text: Annotated[str, Query(max_length=200)] = "",
    born: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """The search for a patient, and the questions that wait."""
    sought, birth_date = text.strip(), _date(born)
    found = (
        await web.pool.run(found_patients, viewer, sought, birth_date, look=web.look())
        if sought
        else []
    )
    asked, decided = await web.pool.run(
        questions, viewer, _PAIRS_MAX, _DECIDED_MAX, look=web.look()
    )
    context = {
        "section": _SECTION,
        "text": sought,
        "born": born,
        "found": found,
        "pairs": asked,
        "pairs_max": _PAIRS_MAX,
        "decided": decided,
    }
    return web.page(request, "patients.html", context)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@router.get("/patients/pairs/{pair_key}")
async def show_pair(request: Request, web: InWeb, viewer: PatientViewer, pair_key: int) -> Response:
    """Two records side by side, why they may be one person, and what a decision touches."""
    view = await web.pool.run(opened_pair, viewer, pair_key, look=web.look())
    return web.page(request, "patient_pair.html", {"section": _SECTION, "view": view})


@router.get("/patients/{patient_key}")
async def show_patient(
    request: Request, web: InWeb, viewer: PatientViewer, patient_key: int
) -> Response:
    """One patient with every record, number, merge and link, each with its undoing."""
    view = await web.pool.run(opened_patient, viewer, patient_key, look=web.look())
    return web.page(request, "patient.html", {"section": _SECTION, "view": view})


@router.post("/patients/pairs/{pair_key}/link")
async def link(web: InWeb, actor: SignedIn, pair_key: int, reason: Reason) -> Response:
    """Both records stay, and are one person."""
    await web.pool.run(identity.link_pair, actor, pair_key, reason=reason, now=web.clock())
    return seen_after(_SECTION, "patients_linked")


@router.post("/patients/pairs/{pair_key}/merge")
async def merge(
    web: InWeb, actor: SignedIn, pair_key: int, survivor_key: Annotated[int, Form()], reason: Reason
) -> Response:
    """One record stands for both."""
    await web.pool.run(
        identity.merge_pair, actor, pair_key, survivor_key, reason=reason, now=web.clock()
    )
    return seen_after(f"/patients/{survivor_key}", "patients_merged")


@router.post("/patients/pairs/{pair_key}/part")
async def part(web: InWeb, actor: SignedIn, pair_key: int, reason: Reason) -> Response:
    """Two people, and no question any more."""
    await web.pool.run(identity.part_pair, actor, pair_key, reason=reason, now=web.clock())
    return seen_after(_SECTION, "patients_parted")


@router.post("/patients/pairs/{pair_key}/undo")
async def undo(web: InWeb, actor: SignedIn, pair_key: int, reason: Reason) -> Response:
    """The question is open again."""
    await web.pool.run(identity.undo_decision, actor, pair_key, reason=reason, now=web.clock())
    return seen_after(f"/patients/pairs/{pair_key}", "decision_undone")


@router.post("/patients/{patient_key}/merges/{merge_key}/undo")
async def unmerge(web: InWeb, actor: SignedIn, patient_key: int, merge_key: int) -> Response:
    """Everything is as if the merge had never been said."""
    await web.pool.run(identity.unmerge, actor, merge_key, now=web.clock())
    return seen_after(f"/patients/{patient_key}", "identity_undone")


@router.post("/patients/{patient_key}/links/{link_key}/undo")
async def unlink(web: InWeb, actor: SignedIn, patient_key: int, link_key: int) -> Response:
    """The two records are two people again."""
    await web.pool.run(identity.unlink, actor, link_key, now=web.clock())
    return seen_after(f"/patients/{patient_key}", "identity_undone")


@router.post("/patients/{patient_key}/changes/{change_key}/undo")
async def undo_change(web: InWeb, actor: SignedIn, patient_key: int, change_key: int) -> Response:
    """The identifier is whose it was."""
    await web.pool.run(identity.undo_identifier_change, actor, change_key, now=web.clock())
    return seen_after(f"/patients/{patient_key}", "identity_undone")
