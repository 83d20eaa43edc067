"""Hanging protocols of users and of the department: kept as preferences, the user's first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.reading import _store
from isocenter.domain.reading.model import Preference
from isocenter.domain.reading.model_hanging import PREFERENCE, check_protocols
from isocenter.domain.reading.service.measuring import prefer, preferences
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class HangingProtocols:
    """The user's own protocols and the department's, each in the order of being tried."""

    mine: list[dict[str, Any]]
    site: list[dict[str, Any]]


def hanging_protocols(tx: Tx, actor: Actor) -> HangingProtocols:
    """What the actor's workspace hangs by, before the protocols that it brings along."""
    authorize(actor, Action.STUDY_READ)
    site = _store.site_preference(tx, PREFERENCE)
    mine = [each.value for each in preferences(tx, actor) if each.name == PREFERENCE]
    return HangingProtocols(mine[0] if mine else [], site.value if site is not None else [])


def keep_own_protocols(tx: Tx, actor: Actor, value: object, *, now: datetime) -> None:
    """Keep the actor's protocols. Raises ``BadProtocol``, ``PreferenceTooLarge``."""
    authorize(actor, Action.STUDY_READ)
    prefer(tx, actor, Preference(PREFERENCE, check_protocols(value)), now=now)


def keep_site_protocols(tx: Tx, actor: Actor, value: object, *, now: datetime) -> None:
    """Keep the department's protocols. Raises ``NotAuthorized``, ``BadProtocol``."""
    authorize(actor, Action.SITE_WRITE)
    _store.prefer_for_site(tx, actor.name, Preference(PREFERENCE, check_protocols(value)), now=now)
    entry = AuditEntry(
        action="site.prefer",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="site",
        object_id=PREFERENCE,
    )
    record(tx, entry, now=now)
