"""Rules that people make of what they decided again and again; prefixes of accession numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.reconcile._store import decisions, evidence
from isocenter.domain.reconcile.model import (
    REQUIRED_TERM,
    RULE_TERMS,
    Offer,
    PastChoice,
    PastDecision,
    Precision,
    normalised_accession_number,
    offers,
    precision,
)
from isocenter.domain.reconcile.service.matching import match
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db import Tx

DECISIONS_CONSIDERED: Final = 2_000
STUDIES_AT_ONCE_MAX: Final = 1_000
PREFIX_LENGTH_MAX: Final = 15


class UnknownRule(IsocenterError):
    """There is no such rule."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class RuleNotBorneOut(IsocenterError):
    """Past decisions do not follow this rule, or it does not say who the patient is."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class BadPrefix(IsocenterError):
    """A prefix is what a site puts before accession numbers; it does not end in a digit."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInUse:
    """A rule, how it would have done over what people decided, and how its own decisions fared.

    Attributes:
        measured: over the latest decisions of people.
        decided: studies that it matched.
        undone: those of them that people took back.
    """

    rule_key: int
    station_ae_title: str
    terms: tuple[str, ...]
    enabled: bool
    made_at: datetime
    made_by: str
    switched_at: datetime
    switched_by: str
    decided: int
    undone: int
    measured: Precision


def offered_rules(tx: Tx, viewer: Viewer) -> list[Offer]:
    """Rules that past decisions bear out and that nobody has made yet."""
    viewer.require(Action.STUDY_READ)
    known = {(each.station_ae_title, frozenset(each.terms)) for each in decisions.rules(tx)}
    active = {each.station_ae_title for each in decisions.rules(tx) if each.enabled}
    return [
        each
        for each in offers(_past(tx))
        if (each.station_ae_title, each.terms) not in known and each.station_ae_title not in active
    ]


def rules(tx: Tx, viewer: Viewer) -> list[RuleInUse]:
    """All rules, those that are switched on first."""
    viewer.require(Action.STUDY_READ)
    past = _past(tx)
    return [
        RuleInUse(
            rule_key=each.rule_key,
            station_ae_title=each.station_ae_title,
            terms=tuple(each.terms),
            enabled=each.enabled,
            made_at=each.made_at,
            made_by=each.made_by,
            switched_at=each.switched_at,
            switched_by=each.switched_by,
            decided=each.decided,
            undone=each.undone,
            measured=precision(each.station_ae_title, frozenset(each.terms), past),
        )
        for each in decisions.rules(tx)
    ]


def make_rule(
    tx: Tx, actor: Actor, station_ae_title: str, terms: Sequence[str], *, now: datetime
) -> int:
    """The key of the rule, which decides from now on, about what waits as well.

    Only what past decisions bear out can be made a rule. Raises ``RuleNotBorneOut``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    wanted = frozenset(terms)
    possible = {each.value for each in RULE_TERMS}
    offered = any(
        each.station_ae_title == station_ae_title and each.terms == wanted
        for each in offers(_past(tx))
    )
    if not offered or REQUIRED_TERM.value not in wanted or not wanted <= possible:
        raise RuleNotBorneOut("past decisions do not bear this rule out")
    key = decisions.make_rule(tx, station_ae_title, sorted(wanted), by=actor.name, now=now)
    _audit(tx, actor, "rule.make", key, now)
    match(tx, _waiting(tx, station_ae_title), now=now)
    return key


def switch_rule(tx: Tx, actor: Actor, rule_key: int, *, enabled: bool, now: datetime) -> None:
    """Switch a rule on or off; what it decided stays until a person takes it back.

    Raises ``UnknownRule``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    station = decisions.switch_rule(tx, rule_key, enabled=enabled, by=actor.name, now=now)
    if station is None:
        raise UnknownRule("there is no such rule")
    _audit(tx, actor, "rule.switch_on" if enabled else "rule.switch_off", rule_key, now)
    if enabled:
        match(tx, _waiting(tx, station), now=now)


def prefixes(tx: Tx, viewer: Viewer) -> list[str]:
    """What this site puts before accession numbers or leaves away."""
    viewer.require(Action.STUDY_READ)
    return evidence.prefixes(tx)


def add_prefix(tx: Tx, actor: Actor, prefix: str, *, now: datetime) -> None:
    """Have numbers with and without the prefix be the same number. Raises ``BadPrefix``."""
    authorize(actor, Action.PEER_WRITE)
    wanted = normalised_accession_number(prefix)
    # Behind a digit nobody could tell the zeros of the number from those of the prefix.
    if (
        not 0 < len(wanted) <= PREFIX_LENGTH_MAX
        or not wanted.isprintable()
        or wanted[-1].isdigit()
        or set(wanted) & set("*?\\")
    ):
        raise BadPrefix(
            f"a prefix has at most {PREFIX_LENGTH_MAX} characters and does not end in a digit"
        )
    decisions.add_prefix(tx, wanted, by=actor.name, now=now)
    _audit(tx, actor, "accession_prefix.add", wanted, now)
    match(tx, decisions.studies_with_open_cases(tx, limit=STUDIES_AT_ONCE_MAX), now=now)


def remove_prefix(tx: Tx, actor: Actor, prefix: str, *, now: datetime) -> None:
    """Have the prefix be a part of the number again; decisions are made anew as facts come."""
    authorize(actor, Action.PEER_WRITE)
    if decisions.remove_prefix(tx, prefix):
        _audit(tx, actor, "accession_prefix.remove", prefix, now)


def _waiting(tx: Tx, station_ae_title: str) -> list[str]:
    return decisions.open_of_station(tx, station_ae_title)[:STUDIES_AT_ONCE_MAX]


def _past(tx: Tx) -> list[PastDecision]:
    return [
        PastDecision(
            each.station_ae_title,
            None if each.undone else each.order_key,
            tuple(
                PastChoice(int(choice["order_key"]), frozenset(choice["terms"]))
                for choice in each.candidates
            ),
        )
        for each in decisions.past(tx, limit=DECISIONS_CONSIDERED)
    ]


def _audit(tx: Tx, actor: Actor, action: str, what: int | str, now: datetime) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="reconciliation_rule",
        object_id=str(what),
    )
    record(tx, entry, now=now)
