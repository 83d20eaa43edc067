"""What was decided about a study, by whom, and whether it still holds."""

from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.reconcile._store import decisions
from isocenter.infra.db import Tx

_UNDOABLE = frozenset({"link", "new_order", "rule", "move_patient", "hold"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision about a study.

    Attributes:
        kind: ``link``, ``new_order``, ``move_patient``, ``undo``, ``hold``, ``reject``,
            ``dismiss``, ``rule`` or ``split``.
        rule_key: of the rule that decided.
        split_key: of the images that were split off; ``undo_split`` takes it back.
    """

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

    @property
    def can_be_undone(self) -> bool:
        """Whether ``undo_decision`` takes it back."""
        return self.undone_at is None and self.kind in _UNDOABLE


def decisions_of(tx: Tx, viewer: Viewer, study_instance_uid: str) -> list[Decided]:
    """What was decided about the study, the newest first."""
    viewer.require(Action.STUDY_READ)
    return [
        Decided(
            decision_key=each.decision_key,
            kind=each.kind,
            accession_number=each.accession_number,
            rule_key=each.rule_key,
            split_key=each.split_key,
            reason=each.reason,
            decided_at=each.decided_at,
            decided_by=each.decided_by,
            undone_at=each.undone_at,
            undone_by=each.undone_by,
        )
        for each in decisions.of_study(tx, study_instance_uid)
    ]
