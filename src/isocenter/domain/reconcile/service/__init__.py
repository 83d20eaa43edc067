"""Use cases of reconciliation: match, by the rules or by a person, and undo.

Every new fact about a study, an order or a patient leads to ``match``, and the whole decision is
made anew from all facts. What was decided before counts only where a person decided it.
"""

from isocenter.domain.reconcile.service.attention import claim, hold, release
from isocenter.domain.reconcile.service.deciding import (
    dismiss_case,
    match_by_person,
    move_to_patient,
    order_from_study,
    undo_decision,
    undo_match,
    undo_move,
)
from isocenter.domain.reconcile.service.history import Decided, decisions_of
from isocenter.domain.reconcile.service.matching import (
    affected_by_orders,
    affected_by_patients,
    affected_by_performed,
    affected_by_steps,
    match,
)
from isocenter.domain.reconcile.service.proposing import Preview, preview, proposals
from isocenter.domain.reconcile.service.ruling import (
    RuleInUse,
    add_prefix,
    make_rule,
    offered_rules,
    prefixes,
    remove_prefix,
    rules,
    switch_rule,
)
from isocenter.domain.reconcile.service.splitting import (
    SplitPreview,
    SplitWish,
    preview_split,
    split,
    undo_split,
)

__all__ = [
    "Decided",
    "Preview",
    "RuleInUse",
    "SplitPreview",
    "SplitWish",
    "add_prefix",
    "affected_by_orders",
    "affected_by_patients",
    "affected_by_performed",
    "affected_by_steps",
    "claim",
    "decisions_of",
    "dismiss_case",
    "hold",
    "make_rule",
    "match",
    "match_by_person",
    "move_to_patient",
    "offered_rules",
    "order_from_study",
    "prefixes",
    "preview",
    "preview_split",
    "proposals",
    "release",
    "remove_prefix",
    "rules",
    "split",
    "switch_rule",
    "undo_decision",
    "undo_match",
    "undo_move",
    "undo_split",
]
