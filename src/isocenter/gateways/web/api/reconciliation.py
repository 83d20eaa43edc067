"""What needs a person, and the person's decision."""

from datetime import datetime, timedelta
from typing import Annotated, Self

from fastapi import APIRouter, Query

from isocenter.domain.access.model import Viewer
from isocenter.domain.archive.model_contents import Content, Contents
from isocenter.domain.archive.service import contents as other_contents
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.model import ABOUT_CONTENT
from isocenter.gateways.web.api.reconciliation_shapes import (
    CandidateAnswer,
    CaseAnswer,
    DecisionAnswer,
    HoldRequest,
    LinkAnswer,
    MatchRequest,
    MoveRequest,
    PreviewAnswer,
    ReasonRequest,
    RuleAnswer,
    RuleRequest,
    SwitchRequest,
)
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Shape
from isocenter.gateways.web.moving import moved_to_patient
from isocenter.gateways.web.web import InWeb, SignedIn, StudyViewer
from isocenter.infra.db import Tx
from isocenter.readmodels import reconciliation
from isocenter.readmodels.reconciliation import OpenCase

router = APIRouter(prefix="/api/reconciliation", tags=["reconciliation"])


class ContentAnswer(Shape):
    """One of several contents. ``conflict_key`` is null for the one that is shown."""

    conflict_key: int | None
    sha256: str
    size_bytes: int
    calling_ae_title: str
    received_at: datetime
    asserted_study_instance_uid: str
    asserted_series_instance_uid: str

    @classmethod
    def of(cls, content: Content) -> Self:
        """The answer for this content."""
        return cls(
            conflict_key=content.conflict_key,
            sha256=content.digest,
            size_bytes=content.size_bytes,
            calling_ae_title=content.calling_ae_title,
            received_at=content.received_at,
            asserted_study_instance_uid=content.asserted_study_instance_uid,
            asserted_series_instance_uid=content.asserted_series_instance_uid,
        )


class ContentsAnswer(Shape):
    """An instance of which different bytes were received."""

    sop_instance_uid: str
    shown: ContentAnswer
    kept: list[ContentAnswer]

    @classmethod
    def of(cls, contents: Contents) -> Self:
        """The answer for these contents."""
        return cls(
            sop_instance_uid=contents.sop_instance_uid,
            shown=ContentAnswer.of(contents.shown),
            kept=[ContentAnswer.of(each) for each in contents.kept],
        )


@router.get("", summary="Open cases, oldest first")
async def cases(
    web: InWeb,
    viewer: StudyViewer,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
) -> list[CaseAnswer]:
    """Studies that need a person, each with the orders that it may belong to."""

    def load(tx: Tx) -> list[CaseAnswer]:
        return [
            CaseAnswer.model_validate(each).model_copy(
                update={"candidates": _candidates(tx, viewer, each)}
            )
            for each in reconciliation.open_cases(tx, viewer, limit=limit)
        ]

    return await web.pool.read(load)


def _candidates(tx: Tx, viewer: Viewer, case: OpenCase) -> list[CandidateAnswer]:
    if case.kind in ABOUT_CONTENT:
        return []
    found = reconcile.proposals(tx, viewer, case.study_instance_uid)
    return [CandidateAnswer.of(each) for each in found]


@router.get("/rules", summary="Rules, and those that past decisions bear out")
async def rules(web: InWeb, viewer: StudyViewer) -> list[RuleAnswer]:
    """Rules that were made, and with null keys those that are offered."""

    def load(tx: Tx) -> list[RuleAnswer]:
        made = [RuleAnswer.of(each) for each in reconcile.rules(tx, viewer)]
        return made + [RuleAnswer.offered(each) for each in reconcile.offered_rules(tx, viewer)]

    return await web.pool.read(load)


@router.post("/rules", status_code=201, summary="Make an offered rule")
async def make_rule(web: InWeb, actor: SignedIn, body: RuleRequest) -> int:
    """The key of the rule."""
    terms = [each.value for each in body.terms]
    return await web.pool.run(
        reconcile.make_rule, actor, body.station_ae_title, terms, now=web.clock()
    )


@router.post("/rules/{rule_key}", status_code=204, summary="Switch a rule on or off")
async def switch_rule(web: InWeb, actor: SignedIn, rule_key: int, body: SwitchRequest) -> None:
    """What it decided stays until a person takes it back."""
    await web.pool.run(
        reconcile.switch_rule, actor, rule_key, enabled=body.enabled, now=web.clock()
    )


@router.get("/{study_instance_uid}/candidates", summary="Orders that a study may belong to")
async def candidates(
    web: InWeb, viewer: StudyViewer, study_instance_uid: str
) -> list[CandidateAnswer]:
    """The best first, each with its score explained term by term."""
    found = await web.pool.read(reconcile.proposals, viewer, study_instance_uid)
    return [CandidateAnswer.of(each) for each in found]


@router.get("/{study_instance_uid}/preview", summary="All that a match would touch")
async def preview(
    web: InWeb, viewer: StudyViewer, study_instance_uid: str, accession_number: str
) -> PreviewAnswer:
    """What would change, without changing it."""
    found = await web.pool.read(reconcile.preview, viewer, study_instance_uid, accession_number)
    return PreviewAnswer.model_validate(found)


@router.get("/{study_instance_uid}/decisions", summary="What was decided about a study")
async def decisions(
    web: InWeb, viewer: StudyViewer, study_instance_uid: str
) -> list[DecisionAnswer]:
    """The newest first."""
    found = await web.pool.read(reconcile.decisions_of, viewer, study_instance_uid)
    return [DecisionAnswer.model_validate(each) for each in found]


@router.post("/{study_instance_uid}/match", summary="Match a study with an order")
async def match(
    web: InWeb, actor: SignedIn, study_instance_uid: str, body: MatchRequest
) -> LinkAnswer:
    """The link, which stays whatever is learned later."""
    link = await web.pool.run(
        reconcile.match_by_person,
        actor,
        study_instance_uid,
        body.accession_number,
        reason=body.reason,
        now=web.clock(),
    )
    return LinkAnswer.model_validate(link)


@router.post("/{study_instance_uid}/order", summary="Make an order from a study")
async def order(
    web: InWeb, actor: SignedIn, study_instance_uid: str, body: ReasonRequest
) -> LinkAnswer:
    """The study's link to the new order."""
    link = await web.pool.run(
        reconcile.order_from_study,
        actor,
        study_instance_uid,
        reason=body.reason,
        accession_format=web.options.accession_format,
        now=web.clock(),
    )
    return LinkAnswer.model_validate(link)


@router.post("/{study_instance_uid}/patient", status_code=204, summary="Say whose images these are")
async def move(web: InWeb, actor: SignedIn, study_instance_uid: str, body: MoveRequest) -> None:
    """The study is that patient's, whatever its images say."""
    await web.pool.run(
        moved_to_patient,
        actor,
        study_instance_uid,
        (body.patient_id, body.assigning_authority),
        reason=body.reason,
        now=web.clock(),
    )


@router.post("/{study_instance_uid}/hold", status_code=204, summary="Let a study rest")
async def hold(web: InWeb, actor: SignedIn, study_instance_uid: str, body: HoldRequest) -> None:
    """It alarms nobody until then."""
    now = web.clock()
    await web.pool.run(
        reconcile.hold,
        actor,
        study_instance_uid,
        until=now + timedelta(hours=body.hours),
        reason=body.reason,
        now=now,
    )


@router.post("/{study_instance_uid}/undo", status_code=204, summary="Undo a match")
async def undo(web: InWeb, actor: SignedIn, study_instance_uid: str, body: ReasonRequest) -> None:
    """The study belongs to that order no more."""
    await web.pool.run(
        reconcile.undo_match, actor, study_instance_uid, reason=body.reason, now=web.clock()
    )


@router.post(
    "/{study_instance_uid}/decisions/{decision_key}/undo",
    status_code=204,
    summary="Undo a decision",
)
async def undo_decision(
    web: InWeb, actor: SignedIn, study_instance_uid: str, decision_key: int, body: ReasonRequest
) -> None:
    """The decision holds no more."""
    await web.pool.run(
        reconcile.undo_decision,
        actor,
        study_instance_uid,
        decision_key,
        reason=body.reason,
        now=web.clock(),
    )


@router.post("/cases/{case_key}/dismiss", status_code=204, summary="End a case")
async def dismiss(web: InWeb, actor: SignedIn, case_key: int, body: ReasonRequest) -> None:
    """The case ended; it comes back only when there is something new."""
    await web.pool.run(reconcile.dismiss_case, actor, case_key, reason=body.reason, now=web.clock())


@router.get("/{study_instance_uid}/contents", summary="Instances that came with different bytes")
async def contents(
    web: InWeb, viewer: StudyViewer, study_instance_uid: str
) -> list[ContentsAnswer]:
    """What is shown of each, and what is kept beside it."""
    found = await web.pool.run(other_contents.contents_of, viewer, study_instance_uid)
    return [ContentsAnswer.of(each) for each in found]


@router.post("/contents/{conflict_key}/show", status_code=204, summary="Show the other content")
async def show_instead(web: InWeb, actor: SignedIn, conflict_key: int, body: ReasonRequest) -> None:
    """The kept content is shown, and the shown one is kept."""
    await web.pool.run(
        other_contents.show_instead,
        actor,
        web.blobs,
        conflict_key,
        reason=body.reason,
        now=web.clock(),
    )
