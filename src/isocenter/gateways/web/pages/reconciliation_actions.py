"""What people decide about a study that needs them: every form of the reconciliation pages."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from starlette.responses import Response

from isocenter.domain.archive.service import contents as other_contents
from isocenter.domain.archive.service import rejection
from isocenter.domain.reconcile import service as reconcile
from isocenter.gateways.web.moving import moved_to_patient
from isocenter.gateways.web.web import InWeb, SignedIn, seen_after

router = APIRouter(include_in_schema=False)

Reason = Annotated[str, Form(min_length=1, max_length=500)]


@router.post("/reconciliation/{study_instance_uid}/match")
async def match(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    accession_number: Annotated[str, Form()],
    reason: Reason,
) -> Response:
    """The study linked to the exam that the person chose."""
    await web.pool.run(
        reconcile.match_by_person,
        actor,
        study_instance_uid,
        accession_number,
        reason=reason,
        now=web.clock(),
    )
    return seen_after(f"/studies/{study_instance_uid}", "matched")


@router.post("/reconciliation/{study_instance_uid}/undo")
async def undo(web: InWeb, actor: SignedIn, study_instance_uid: str, reason: Reason) -> Response:
    """The study taken from its order."""
    await web.pool.run(
        reconcile.undo_match, actor, study_instance_uid, reason=reason, now=web.clock()
    )
    return seen_after(f"/reconciliation/{study_instance_uid}", "undone")


@router.post("/reconciliation/{study_instance_uid}/decisions/{decision_key}/undo")
async def undo_decision(
    web: InWeb, actor: SignedIn, study_instance_uid: str, decision_key: int, reason: Reason
) -> Response:
    """One decision taken back."""
    await web.pool.run(
        reconcile.undo_decision,
        actor,
        study_instance_uid,
        decision_key,
        reason=reason,
        now=web.clock(),
    )
    return seen_after(f"/reconciliation/{study_instance_uid}", "decision_undone")


@router.post("/reconciliation/{study_instance_uid}/order")
async def make_order(
    web: InWeb, actor: SignedIn, study_instance_uid: str, reason: Reason
) -> Response:
    """A new order, made from what the images say."""
    await web.pool.run(
        reconcile.order_from_study,
        actor,
        study_instance_uid,
        reason=reason,
        accession_format=web.options.accession_format,
        now=web.clock(),
    )
    return seen_after(f"/reconciliation/{study_instance_uid}", "order_made")


@router.post("/reconciliation/{study_instance_uid}/patient")
async def move(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    patient_id: Annotated[str, Form(min_length=1, max_length=64)],
    reason: Reason,
    assigning_authority: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """The study given to another patient."""
    await web.pool.run(
        moved_to_patient,
        actor,
        study_instance_uid,
        (patient_id, assigning_authority or None),
        reason=reason,
        now=web.clock(),
    )
    return seen_after(f"/reconciliation/{study_instance_uid}", "moved")


@router.post("/reconciliation/{study_instance_uid}/hold")
async def hold(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    hours: Annotated[float, Form(gt=0, le=14 * 24)],
    reason: Reason,
) -> Response:
    """The study left to rest."""
    now = web.clock()
    await web.pool.run(
        reconcile.hold,
        actor,
        study_instance_uid,
        until=now + timedelta(hours=hours),
        reason=reason,
        now=now,
    )
    return seen_after("/reconciliation", "held")


@router.post("/reconciliation/{study_instance_uid}/{step}")
async def attend(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    step: Literal["release", "claim", "unclaim"],
) -> Response:
    """Who looks after the study; or its rest ended."""
    now = web.clock()
    if step == "release":
        await web.pool.run(reconcile.release, actor, study_instance_uid, now=now)
    else:
        taken = step == "claim"
        await web.pool.run(reconcile.claim, actor, study_instance_uid, taken=taken, now=now)
    notice = {"release": "released", "claim": "claimed", "unclaim": "unclaimed"}[step]
    return seen_after(f"/reconciliation/{study_instance_uid}", notice)


@router.post("/reconciliation/{study_instance_uid}/images/reject")
async def reject(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    reason: Annotated[str, Form(min_length=1, max_length=400)],
    series_instance_uid: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """The images, or one series of them, taken out of circulation."""
    await web.pool.run(
        rejection.reject,
        actor,
        (study_instance_uid, series_instance_uid or None, None),
        reason=reason,
        now=web.clock(),
    )
    return seen_after("/reconciliation", "images_rejected")


@router.post("/reconciliation/cases/{case_key}/dismiss")
async def dismiss(web: InWeb, actor: SignedIn, case_key: int, reason: Reason) -> Response:
    """The case ended by a person who has looked at it."""
    await web.pool.run(reconcile.dismiss_case, actor, case_key, reason=reason, now=web.clock())
    return seen_after("/reconciliation", "dismissed")


@router.post("/reconciliation/contents/{conflict_key}/show")
async def show_instead(web: InWeb, actor: SignedIn, conflict_key: int, reason: Reason) -> Response:
    """The kept content shown, and the shown one kept."""
    study_instance_uid = await web.pool.run(
        other_contents.show_instead,
        actor,
        web.blobs,
        conflict_key,
        reason=reason,
        now=web.clock(),
    )
    return seen_after(f"/reconciliation/{study_instance_uid}", "exchanged")
