"""Orders that a study may belong to, ranked and explained; and what a decision would touch."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import date
from typing import ClassVar, Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive.model_corrections import Corrections
from isocenter.domain.reconcile._store import links, patients
from isocenter.domain.reconcile.model import (
    NoSuchOrder,
    OrderData,
    OrderEvidence,
    Proposal,
    corrections,
    normalised_accession_number,
    ranked,
)
from isocenter.domain.reconcile.service.evidence import (
    candidates_of,
    facts_of,
    registered,
    study_evidence,
)
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db import Tx

PROPOSALS_MAX: Final = 8
# Below this more speaks against an order than for it: a person may still search for it.
_POINTS_MIN: Final = -20


class AmbiguousOrder(IsocenterError):
    """Several orders have this accession number but for case."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Change:
    """What an attribute of the images says, and what it would say."""

    attribute: str
    said: str
    becomes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """All that a match would touch.

    Attributes:
        leaves: accession number of the exam that loses the images; '' for none.
        changes: of what the images say where they go out; the objects stay as they are.
        joins: number of studies that the order has already.
        warnings: what speaks against it, in words.
    """

    accession_number: str
    order_state: str
    leaves: str
    changes: tuple[Change, ...]
    joins: int
    warnings: tuple[str, ...]


def proposals(
    tx: Tx,
    viewer: Viewer,
    study_instance_uid: str,
    *,
    also: Sequence[str] = (),
    limit: int = PROPOSALS_MAX,
) -> list[Proposal]:
    """The orders that the study may belong to, the best first, each with its score explained.

    Args:
        tx: open transaction.
        viewer: may read studies.
        study_instance_uid: of images that are here.
        also: accession numbers of orders to be scored too, whatever speaks for them.
        limit: so many at most, besides ``also``.
    """
    viewer.require(Action.STUDY_READ)
    facts = facts_of(tx, study_instance_uid)
    wanted = patients.orders_with_numbers(tx, also) if also else []
    known = candidates_of(tx, facts, also=wanted)
    found = ranked(known.study, known.orders, prefixes=known.prefixes)
    shown = [
        each
        for each in found
        if each.order.order_key not in known.rejected and each.score.points >= _POINTS_MIN
    ][:limit]
    return shown + [each for each in found if each.order.order_key in wanted and each not in shown]


def preview(tx: Tx, viewer: Viewer, study_instance_uid: str, accession_number: str) -> Preview:
    """All that a match of the study with this order would touch.

    Raises ``UnknownStudy``, ``NoSuchOrder``.
    """
    viewer.require(Action.STUDY_READ)
    facts = facts_of(tx, study_instance_uid)
    order = the_order(tx, study_instance_uid, accession_number)
    linked = patients.linked_order(tx, order.order_key)
    row = linked and patients.patient_of_record(tx, linked.patient_key)
    study = study_evidence(facts)
    wanted = corrections(
        study,
        row and registered(row),
        linked and OrderData(linked.accession_number, linked.referring_physician_name),
    )
    before = links.link(tx, study_instance_uid)
    leaves = before.accession_number if before and before.order_key != order.order_key else ""
    known = candidates_of(tx, facts, also=[order.order_key])
    scored = next(
        each
        for each in ranked(known.study, known.orders, prefixes=known.prefixes)
        if each.order.order_key == order.order_key
    )
    joined = links.linked_studies(tx, order.accession_number)
    return Preview(
        accession_number=order.accession_number,
        order_state=order.state,
        leaves=leaves,
        changes=changes(facts, wanted),
        joins=len([e for e in joined if e.study_instance_uid != study_instance_uid]),
        warnings=tuple(each.text for each in scored.score.terms if each.points < 0),
    )


def the_order(tx: Tx, study_instance_uid: str, accession_number: str) -> OrderEvidence:
    """The order that a person named. Raises ``NoSuchOrder``, ``AmbiguousOrder``."""
    facts = facts_of(tx, study_instance_uid)
    keys = patients.orders_with_numbers(tx, [accession_number])
    wanted = normalised_accession_number(accession_number)
    orders = [
        each
        for each in candidates_of(tx, facts, also=keys).orders
        if normalised_accession_number(each.accession_number) == wanted
    ]
    if len(orders) > 1:  # numbers that differ only in case: the exact one is meant
        orders = [each for each in orders if each.accession_number == accession_number]
    if not orders:
        raise NoSuchOrder("no order has this accession number")
    if len(orders) > 1:
        raise AmbiguousOrder("several orders have this accession number")
    return orders[0]


def changes(facts: object, wanted: Corrections) -> tuple[Change, ...]:
    """What would be said instead of what the images say, attribute by attribute."""
    found: list[Change] = []
    for field in fields_of(wanted):
        value: object = getattr(wanted, field.name)
        if value is None:
            continue
        found.append(Change(field.name, _text(getattr(facts, field.name)), _text(value)))
    return tuple(found)


def _text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if value is not None else ""
