"""Patients' identity: records that may be one person, and what people decide about them."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import PatientIdentifier
from isocenter.domain.identity.model_matching import Person
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Shape
from isocenter.gateways.web.patient_reads import opened_pair, opened_patient, questions
from isocenter.gateways.web.web import InWeb, PatientViewer, SignedIn

router = APIRouter(prefix="/api/patients", tags=["patients"])


class IdentifierAnswer(Shape):
    """One identifier and who assigned it."""

    value: str
    assigning_authority: str
    type_code: str


class PatientAnswer(Shape):
    """A patient, merges followed. ``alias_identifiers`` are of records merged into it."""

    patient_key: int
    identifiers: list[IdentifierAnswer]
    alias_identifiers: list[IdentifierAnswer]
    person_name: str | None
    aliases: list[str]
    birth_date: date | None
    sex: str | None
    address: str | None
    phone: str | None
    unidentified: bool
    vip: bool


class GroundAnswer(Shape):
    """How two records agree in one field; ``weight`` is a binary logarithm."""

    field: str
    level: str
    weight: float


class CandidateAnswer(Shape):
    """Somebody who may be the person asked for.

    ``rule`` is "identifier" for who has a number asked for from a trusted issuer: that is the
    patient, unless ``vetoes`` says what contradicts it. ``vetoes`` are the reasons why a person
    has to look.
    """

    patient: PatientAnswer
    rule: str
    probability: float
    weight: float
    grounds: list[GroundAnswer]
    vetoes: list[str]


class PairAnswer(Shape):
    """Two records that may be one person."""

    pair_key: int
    kind: str
    state: str
    weight: float
    grounds: list[GroundAnswer]
    found_at: datetime
    decided_at: datetime | None
    decided_by: str
    reason: str
    one: dict[str, Any]
    other: dict[str, Any]


class TouchedExamAnswer(Shape):
    """An exam that joining or parting the records touches."""

    patient_key: int
    accession_number: str
    order_state: str
    on_worklist: bool
    studies: int
    report_state: str | None
    report_writer: str | None
    sent: int


class PairDetail(Shape):
    """A pair with a preview of what a decision touches."""

    pair: PairAnswer
    exams: list[TouchedExamAnswer]


class ToldAnswer(Shape):
    """A message about records of patients to one recipient: ``state`` is the proof.

    ``occasion`` is the trigger event: A40 of a merge, A37 of what was parted again, A24 of a link,
    A43, A45 and A47 of numbers and visits that changed hands.
    """

    delivery_key: int
    patient_key: int
    other_key: int | None
    occasion: str
    recipient: str
    state: str
    queued_at: datetime
    sent_at: datetime | None
    acknowledged_at: datetime | None
    refused_at: datetime | None
    last_error: str | None


class MergeAnswer(Shape):
    """``prior_key`` stands, or stood, for ``survivor_key``."""

    merge_key: int
    survivor_key: int
    prior_key: int
    merged_at: datetime
    undone_at: datetime | None
    actor: str


class LinkAnswer(Shape):
    """Two records that are, or were, one person."""

    link_key: int
    one_key: int
    other_key: int
    origin: str
    reason: str
    linked_at: datetime
    undone_at: datetime | None
    actor: str


class ChangeAnswer(Shape):
    """An identifier that changed hands, or was replaced."""

    change_key: int
    assigning_authority: str
    value: str
    from_key: int
    to_key: int
    changed_at: datetime
    undone_at: datetime | None
    actor: str


class PatientDetail(Shape):
    """A patient with its history and its exams."""

    patient: PatientAnswer
    merges: list[MergeAnswer]
    links: list[LinkAnswer]
    changes: list[ChangeAnswer]
    told: list[ToldAnswer]
    exams: list[TouchedExamAnswer]


class MatchRequest(BaseModel):
    """What is known of a person; anything may be left out."""

    names: list[str] = Field(default_factory=list[str], max_length=3)
    birth_date: date | None = None
    sex: str | None = None
    address: str | None = Field(default=None, max_length=400)
    phone: str | None = Field(default=None, max_length=60)
    mother_name: str | None = Field(default=None, max_length=200)
    identifiers: list[tuple[str, str, str]] = Field(
        default_factory=list[tuple[str, str, str]],
        max_length=10,
        description="value, assigning authority, type code",
    )
    limit: int = Field(default=10, ge=1, le=50)


class ReasonRequest(BaseModel):
    """Why."""

    reason: str = Field(min_length=1, max_length=500)


class MergeRequest(ReasonRequest):
    """Why, and which of the two records remains."""

    survivor_key: int


@router.post("/match", summary="Who may be this person")
async def match(web: InWeb, actor: SignedIn, body: MatchRequest) -> list[CandidateAnswer]:
    """Candidates, best first, each explained field by field.

    Whoever has one of the numbers, from an issuer that is trusted here, comes first. A number
    without its issuer, or of one that is not trusted, gives all who have the same.
    """
    person = Person(
        names=tuple(body.names),
        birth_date=body.birth_date,
        sex=body.sex,
        address=body.address,
        phone=body.phone,
        mother_name=body.mother_name,
        identifiers=tuple(PatientIdentifier(*each) for each in body.identifiers),
    )
    found = await web.pool.run(
        identity.candidates,
        actor,
        person,
        trusted_authorities=web.options.trusted_authorities,
        limit=body.limit,
        now=web.clock(),
    )
    return [
        CandidateAnswer(
            patient=PatientAnswer.model_validate(each.patient),
            rule=each.assessment.rule,
            probability=each.assessment.probability,
            weight=each.assessment.weight,
            grounds=[GroundAnswer.model_validate(ground) for ground in each.assessment.grounds],
            vetoes=list(each.assessment.vetoes),
        )
        for each in found
    ]


@router.get("/pairs", summary="Records that may be one person, surest first")
async def pairs(
    web: InWeb, viewer: PatientViewer, limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100
) -> list[PairAnswer]:
    """Questions that wait for a person."""
    asked, _ = await web.pool.run(questions, viewer, limit, 0, look=web.look())
    return [PairAnswer.model_validate(each) for each in asked]


@router.get("/pairs/{pair_key}", summary="A pair, and what a decision touches")
async def pair(web: InWeb, viewer: PatientViewer, pair_key: int) -> PairDetail:
    """The pair with its preview."""
    return PairDetail.model_validate(
        await web.pool.run(opened_pair, viewer, pair_key, look=web.look())
    )


@router.post("/pairs/{pair_key}/link", status_code=204, summary="One person, two records")
async def link(web: InWeb, actor: SignedIn, pair_key: int, body: ReasonRequest) -> None:
    """Both records stay in use."""
    await web.pool.run(identity.link_pair, actor, pair_key, reason=body.reason, now=web.clock())


@router.post("/pairs/{pair_key}/merge", status_code=204, summary="One record stands for both")
async def merge(web: InWeb, actor: SignedIn, pair_key: int, body: MergeRequest) -> None:
    """The other record's numbers lead to the survivor."""
    await web.pool.run(
        identity.merge_pair,
        actor,
        pair_key,
        body.survivor_key,
        reason=body.reason,
        now=web.clock(),
    )


@router.post("/pairs/{pair_key}/part", status_code=204, summary="Two people")
async def part(web: InWeb, actor: SignedIn, pair_key: int, body: ReasonRequest) -> None:
    """It is not asked again."""
    await web.pool.run(identity.part_pair, actor, pair_key, reason=body.reason, now=web.clock())


@router.post("/pairs/{pair_key}/undo", status_code=204, summary="Undo a decision")
async def undo(web: InWeb, actor: SignedIn, pair_key: int, body: ReasonRequest) -> None:
    """What the decision did is undone, and the question is open again."""
    await web.pool.run(identity.undo_decision, actor, pair_key, reason=body.reason, now=web.clock())


@router.get("/{patient_key}", summary="A patient with its history")
async def patient(web: InWeb, viewer: PatientViewer, patient_key: int) -> PatientDetail:
    """The patient that stands for the record, merges followed."""
    return PatientDetail.model_validate(
        await web.pool.run(opened_patient, viewer, patient_key, look=web.look())
    )


@router.post("/merges/{merge_key}/undo", status_code=204, summary="Undo a merge")
async def unmerge(web: InWeb, actor: SignedIn, merge_key: int) -> None:
    """Everything is as if it had never been said."""
    await web.pool.run(identity.unmerge, actor, merge_key, now=web.clock())


@router.post("/links/{link_key}/undo", status_code=204, summary="Undo a link")
async def unlink(web: InWeb, actor: SignedIn, link_key: int) -> None:
    """The two records are two people again."""
    await web.pool.run(identity.unlink, actor, link_key, now=web.clock())


@router.post("/changes/{change_key}/undo", status_code=204, summary="Undo an identifier's change")
async def undo_change(web: InWeb, actor: SignedIn, change_key: int) -> None:
    """The identifier is whose it was."""
    await web.pool.run(identity.undo_identifier_change, actor, change_key, now=web.clock())
