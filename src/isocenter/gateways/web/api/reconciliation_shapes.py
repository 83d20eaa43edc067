"""The JSON of reconciliation: cases, candidates with their scores, decisions, rules."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from isocenter.domain.reconcile.model import CaseKind, Method, Offer, Proposal, TermName, Verdict
from isocenter.domain.reconcile.service import RuleInUse
from isocenter.gateways.web.api.shapes import Shape


class TermAnswer(Shape):
    """One comparison of a study with an order."""

    name: TermName
    verdict: Verdict
    points: int
    text: str


class CandidateAnswer(Shape):
    """An order that the study might belong to; ``grounds`` says what speaks for it."""

    accession_number: str
    order_state: str
    patient_name: str | None
    procedure: str
    modality: str
    scheduled_at: datetime | None
    points: int
    terms: list[TermAnswer]
    grounds: list[str]

    @classmethod
    def of(cls, proposal: Proposal) -> Self:
        """The answer for this proposal."""
        order = proposal.order
        return cls(
            accession_number=order.accession_number,
            order_state=order.state,
            patient_name=order.person_name,
            procedure=order.procedure,
            modality=", ".join(sorted(order.modalities)),
            scheduled_at=order.scheduled_at,
            points=proposal.score.points,
            terms=[TermAnswer.model_validate(each) for each in proposal.score.spoken],
            grounds=[each.text for each in proposal.score.spoken if each.points > 0],
        )


class CaseAnswer(Shape):
    """An open case, with what the images say."""

    case_key: int
    study_instance_uid: str
    kind: CaseKind
    reason: str
    opened_at: datetime
    accession_number: str | None
    patient_id: str | None
    patient_name: str | None
    modalities: list[str]
    number_of_instances: int
    linked_accession_number: str | None
    candidates: list[CandidateAnswer] = Field(default_factory=list[CandidateAnswer])


class LinkAnswer(Shape):
    """Which order a study belongs to, and why."""

    study_instance_uid: str
    accession_number: str
    method: Method
    reason: str
    linked_at: datetime
    linked_by: str
    rule_key: int | None


class ChangeAnswer(Shape):
    """What an attribute says and would say."""

    attribute: str
    said: str
    becomes: str


class PreviewAnswer(Shape):
    """All that a match would touch."""

    accession_number: str
    order_state: str
    leaves: str
    joins: int
    changes: list[ChangeAnswer]
    warnings: list[str]


class DecisionAnswer(Shape):
    """Something that was decided about a study; a split is taken back by its ``split_key``."""

    decision_key: int
    kind: str
    accession_number: str | None
    rule_key: int | None
    split_key: int | None
    reason: str
    decided_at: datetime
    decided_by: str
    undone_at: datetime | None
    undone_by: str | None
    can_be_undone: bool


class PrecisionAnswer(Shape):
    """How often a rule would have decided, and how often as people did."""

    applied: int
    right: int
    share: float


class RuleAnswer(Shape):
    """A rule; ``rule_key`` is null for one that is only offered."""

    rule_key: int | None = None
    station_ae_title: str
    terms: list[str]
    enabled: bool = False
    decided: int = 0
    undone: int = 0
    measured: PrecisionAnswer

    @classmethod
    def offered(cls, offer: Offer) -> Self:
        """The answer for a rule that nobody has made yet."""
        return cls(
            station_ae_title=offer.station_ae_title,
            terms=sorted(offer.terms),
            measured=PrecisionAnswer.model_validate(offer.precision),
        )

    @classmethod
    def of(cls, rule: RuleInUse) -> Self:
        """The answer for this rule."""
        return cls(
            rule_key=rule.rule_key,
            station_ae_title=rule.station_ae_title,
            terms=sorted(rule.terms),
            enabled=rule.enabled,
            decided=rule.decided,
            undone=rule.undone,
            measured=PrecisionAnswer.model_validate(rule.measured),
        )


class MatchRequest(BaseModel):
    """The exam that a person chose, and how they know."""

    accession_number: str = Field(max_length=64)
    reason: str = Field(default="", max_length=500)


class ReasonRequest(BaseModel):
    """Why."""

    reason: str = Field(default="", max_length=500)


class MoveRequest(BaseModel):
    """Whose images these are, and how one knows."""

    patient_id: str = Field(max_length=64)
    assigning_authority: str | None = Field(default=None, max_length=64)
    reason: str = Field(default="", max_length=500)


class HoldRequest(BaseModel):
    """Until when the images rest, and why."""

    hours: float = Field(gt=0, le=14 * 24)
    reason: str = Field(default="", max_length=500)


class RuleRequest(BaseModel):
    """A rule that is offered."""

    station_ae_title: str = Field(max_length=16)
    terms: list[TermName]


class SwitchRequest(BaseModel):
    """On or off."""

    enabled: bool
