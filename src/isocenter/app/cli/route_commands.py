"""``isocenter route``: which images go to which DICOM peer, and the destinations' queues."""

from collections.abc import Sequence
from datetime import time
from typing import Annotated, Any

import typer

from isocenter.app.cli import session
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import (
    COMPRESSIONS,
    BadRoute,
    Conditions,
    Moment,
    Priority,
    Route,
)
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Tx

route = typer.Typer(no_args_is_help=True, help="Which images go to which DICOM peer.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Name = Annotated[str, typer.Argument(help="Name of the route.")]
Destination = Annotated[str, typer.Argument(help="Name of the DICOM peer.")]
_CONDITIONS = {
    "calling": "calling_ae_titles",
    "modality": "modalities",
    "study": "study_descriptions",
    "series": "series_descriptions",
    "referring": "referring_physicians",
    "body-part": "body_parts",
}
_SENT = frozenset({"images", "notification", "commitment"})


def _patterns(written: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in written.split(",") if each.strip())


def _times(written: str) -> tuple[time | None, time | None]:
    """Beginning and end of ``20:00-07:00``; none of nothing. Raises ``BadRoute``."""
    if not written:
        return None, None
    begin, _, end = written.partition("-")
    try:
        return time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())
    except ValueError as error:
        raise BadRoute("a time of day is written as 20:00-07:00") from error


def _conditions(written: Sequence[str]) -> Conditions:
    """Conditions of ``modality=CT,MR``, ``arriving=20:00-07:00``… Raises ``BadRoute``."""
    found: dict[str, Any] = {}
    for each in written:
        key, _, value = each.partition("=")
        if key == "arriving":
            found["time_from"], found["time_to"] = _times(value)
        elif key in _CONDITIONS:
            found[_CONDITIONS[key]] = (*found.get(_CONDITIONS[key], ()), *_patterns(value))
        else:
            known = ", ".join([*_CONDITIONS, "arriving"])
            raise BadRoute(f"conditions are about {known}, not {key or 'nothing'}")
    return Conditions(**found)


@route.command("add")
@session.command
def add(  # noqa: PLR0913 options of a command, given by name
    name: Name,
    *,
    to: Annotated[str, typer.Option(help="Name of the DICOM peer that gets the images.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--if",
            metavar="KEY=PATTERNS",
            help="Only images that fit: calling, modality, study, series, referring, body-part"
            " with patterns of * and ? between commas, or arriving=20:00-07:00. Repeatable.",
        ),
    ] = None,
    when: Annotated[Moment, typer.Option(help="As they arrive, or all at once.")] = Moment.RECEIVED,
    priority: Annotated[Priority, typer.Option(help="What goes first.")] = Priority.MEDIUM,
    compress: Annotated[str, typer.Option(help=f"{', '.join(COMPRESSIONS)}.")] = "",
    send: Annotated[
        str,
        typer.Option(help="images, notification (that the study is here), commitment (ask for)."),
    ] = "images",
) -> None:
    """Add a route: images that come from now on and fit are sent to a DICOM peer.

    Example: isocenter route add night --to READING --if modality=CT,MR --if arriving=20:00-07:00
    """
    sent = {each.lower() for each in _patterns(send)}
    if not sent <= _SENT:
        raise BadRoute(f"a route sends {', '.join(sorted(_SENT))}")
    if compress and compress not in COMPRESSIONS:
        raise BadRoute(f"images are compressed with {', '.join(COMPRESSIONS)}")
    described = Route(
        name=name,
        recipient=to,
        conditions=_conditions(only or ()),
        moment=when,
        priority=priority,
        transfer_syntax_uid=COMPRESSIONS.get(compress),
        sends_images="images" in sent,
        notifies="notification" in sent,
        wants_commitment="commitment" in sent,
    )
    with session.database(session.settings()) as db, db.transaction() as tx:
        distribution.add_route(tx, session.actor(), described, now=utc_now())


@route.command("list")
@session.command
def list_routes(*, as_json: AsJson = False) -> None:
    """List routes with the queues of their destinations.

    Example: isocenter route list --json
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        rows = _rows(tx)
    session.show(rows, as_json=as_json, empty="None: images stay here.")


def _rows(tx: Tx) -> list[dict[str, object]]:
    actor = session.actor()
    lanes = {
        each.recipient: each
        for each in distribution.destinations(tx, Viewer.of(actor, Action.DELIVERY_READ))
        if each.protocol == "dicom"
    }
    rows: list[dict[str, object]] = []
    for each in distribution.routes(tx, actor):
        lane = lanes.get(each.recipient)
        rows.append({
            "name": each.name,
            "to": each.recipient,
            "when": each.moment.value,
            "enabled": each.enabled,
            "waiting": lane.waiting if lane else 0,
            "refused": lane.refused if lane else 0,
            "paused": bool(lane and lane.paused_at),
            "last_error": lane.last_error if lane else None,
        })
    return rows


@route.command("remove")
@session.command
def remove(name: Name) -> None:
    """Remove a route; what is queued still goes.

    Example: isocenter route remove night
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        distribution.remove_route(tx, session.actor(), name, now=utc_now())


@route.command("pause")
@session.command
def pause(
    destination: Destination,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the others.")],
) -> None:
    """Send nothing to a DICOM peer until it is resumed; what comes meanwhile waits.

    Example: isocenter route pause READING --reason "their archive is being moved"
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        actor = session.actor()
        distribution.pause(tx, actor, destination, protocol="dicom", reason=reason, now=utc_now())


@route.command("resume")
@session.command
def resume(destination: Destination) -> None:
    """Send to a DICOM peer again, beginning at once.

    Example: isocenter route resume READING
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        distribution.resume(tx, session.actor(), destination, protocol="dicom", now=utc_now())


@route.command("send")
@session.command
def send(
    study_instance_uid: Annotated[str, typer.Argument(help="UID of the study.")],
    *,
    to: Annotated[str, typer.Option(help="Name of the DICOM peer.")],
    commit: Annotated[bool, typer.Option(help="Ask for storage commitment.")] = False,
) -> None:
    """Send a whole study to a DICOM peer, whatever the routes say; prints the delivery's key.

    Example: isocenter route send 1.2.840.1.2.3 --to READING
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        key = distribution.send_study(
            tx,
            session.actor(),
            study_instance_uid,
            recipient=to,
            wants_commitment=commit,
            now=utc_now(),
        )
    session.out.print(str(key))


@route.command("retry")
@session.command
def retry(
    delivery_key: Annotated[int, typer.Argument(help="Key of the delivery.")],
) -> None:
    """Have a finished delivery made anew, as after a refusal that was mended.

    Example: isocenter route retry 4711
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        distribution.replay(tx, session.actor(), delivery_key, now=utc_now())
