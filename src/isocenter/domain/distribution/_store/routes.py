"""The SQL of the rules for images."""

from dataclasses import dataclass
from datetime import datetime, time

from isocenter.domain.distribution.model import Conditions, Moment, Priority, Route
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class _Row:
    route_name: str
    recipient: str
    enabled: bool
    calling_ae_titles: list[str]
    modalities: list[str]
    study_descriptions: list[str]
    series_descriptions: list[str]
    referring_physicians: list[str]
    body_parts: list[str]
    time_from: time | None
    time_to: time | None
    moment: str
    priority: str
    transfer_syntax_uid: str | None
    sends_images: bool
    notifies: bool
    wants_commitment: bool

    def as_route(self) -> Route:
        conditions = Conditions(
            calling_ae_titles=tuple(self.calling_ae_titles),
            modalities=tuple(self.modalities),
            study_descriptions=tuple(self.study_descriptions),
            series_descriptions=tuple(self.series_descriptions),
            referring_physicians=tuple(self.referring_physicians),
            body_parts=tuple(self.body_parts),
            time_from=self.time_from,
            time_to=self.time_to,
        )
        return Route(
            name=self.route_name,
            recipient=self.recipient,
            conditions=conditions,
            moment=Moment(self.moment),
            priority=Priority(self.priority),
            transfer_syntax_uid=self.transfer_syntax_uid,
            sends_images=self.sends_images,
            notifies=self.notifies,
            wants_commitment=self.wants_commitment,
            enabled=self.enabled,
        )


_ROUTES = """
select route_name, recipient, enabled, calling_ae_titles, modalities, study_descriptions,
       series_descriptions, referring_physicians, body_parts, time_from, time_to, moment, priority,
       transfer_syntax_uid, sends_images, notifies, wants_commitment
  from distribution.route order by route_name
"""


def routes(tx: Tx) -> list[Route]:
    """All rules by name."""
    return [each.as_route() for each in tx.all(_Row, _ROUTES)]


_INSERT = """
insert into distribution.route (
    route_name, recipient, enabled, calling_ae_titles, modalities, study_descriptions,
    series_descriptions, referring_physicians, body_parts, time_from, time_to, moment, priority,
    transfer_syntax_uid, sends_images, notifies, wants_commitment, created_at, created_by)
values (
    %(route_name)s, %(recipient)s, %(enabled)s, %(calling_ae_titles)s, %(modalities)s,
    %(study_descriptions)s, %(series_descriptions)s, %(referring_physicians)s, %(body_parts)s,
    %(time_from)s, %(time_to)s, %(moment)s, %(priority)s, %(transfer_syntax_uid)s,
    %(sends_images)s, %(notifies)s, %(wants_commitment)s, %(now)s, %(by)s)
on conflict (route_name) do nothing
"""


def insert(tx: Tx, route: Route, *, by: str, now: datetime) -> bool:
    """Whether the rule was added; False: there is one of this name."""
    conditions = route.conditions
    params = {
        "route_name": route.name,
        "recipient": route.recipient,
        "enabled": route.enabled,
        "calling_ae_titles": list(conditions.calling_ae_titles),
        "modalities": list(conditions.modalities),
        "study_descriptions": list(conditions.study_descriptions),
        "series_descriptions": list(conditions.series_descriptions),
        "referring_physicians": list(conditions.referring_physicians),
        "body_parts": list(conditions.body_parts),
        "time_from": conditions.time_from,
        "time_to": conditions.time_to,
        "moment": route.moment.value,
        "priority": route.priority.value,
        "transfer_syntax_uid": route.transfer_syntax_uid,
        "sends_images": route.sends_images,
        "notifies": route.notifies,
        "wants_commitment": route.wants_commitment,
        "now": now,
        "by": by,
    }
    return tx.run(_INSERT, params) > 0


def delete(tx: Tx, name: str) -> bool:
    """Whether there was such a rule."""
    return tx.run("delete from distribution.route where route_name = %s", (name,)) > 0


def set_enabled(tx: Tx, name: str, *, enabled: bool) -> bool:
    """Whether there is such a rule; it is on or off now."""
    statement = "update distribution.route set enabled = %s where route_name = %s"
    return tx.run(statement, (enabled, name)) > 0
