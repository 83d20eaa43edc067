"""``isocenter hl7``: messages found, read and compared, and how the interfaces are."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Annotated, Literal

import typer

from isocenter.app.cli import session
from isocenter.app.hl7_receiving import receive_options
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import ListedMessage, MessageFilter
from isocenter.domain.peers.model_mending import mend_of
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Tx
from isocenter.readmodels import interface_health
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.difference import differences
from isocenter.standards.hl7v2.er7 import parse

Key = Annotated[int, typer.Argument(help="Key of a message in the log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@session.command
def search(  # noqa: PLR0913 options of a command, given by name
    text: Annotated[str, typer.Argument(help="Words in the message, whole or beginnings.")] = "",
    *,
    peer: Annotated[str, typer.Option(help="Only of this peer.")] = "",
    accession_number: Annotated[str, typer.Option(help="Only about this exam.")] = "",
    order_number: Annotated[str, typer.Option(help="Placer or filler order number.")] = "",
    with_error: Annotated[bool, typer.Option(help="Only refused ones.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="As patient_id=P17; also control_id, type, direction (in, out), since, until"
            " (2026-11-20 or 2026-11-20T08:00, the site's clock), reused=yes. May be repeated."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    output: Annotated[
        Literal["lines", "keys", "json"], typer.Option(help="For people, or for scripts.")
    ] = "lines",
) -> None:
    """List messages, newest first.

    Example: isocenter hl7 search "phantom ada" --only patient_id=P17 --with-error
    """
    chosen = session.settings()
    wanted = replace(
        _narrowed(only or [], receive_options(chosen).zone),
        peer=peer or None,
        accession_number=accession_number or None,
        order_number=order_number or None,
        text=text or None,
        with_error=with_error,
    )
    with session.database(chosen) as db, db.transaction() as tx:
        found = _searched(tx, wanted, limit)
    if output == "json":
        session.show([_row(each) for each in found], as_json=True, empty="")
        return
    for each in found:
        line = str(each.message_key) if output == "keys" else _line(each)
        session.out.print(line, markup=False)


def _narrowed(only: Sequence[str], zone: tzinfo) -> MessageFilter:
    """What ``name=value`` says of the messages that are wanted."""
    wanted = MessageFilter()
    for each in only:
        name, _, value = each.partition("=")
        match name:
            case "patient_id" | "control_id":
                wanted = replace(wanted, **{name: value})
            case "type":
                wanted = replace(wanted, message_type=value)
            case "direction" if value in {"in", "out"}:
                wanted = replace(wanted, direction=value)
            case "since":
                wanted = replace(wanted, received_from=_moment(value, zone))
            case "until":
                wanted = replace(wanted, received_to=_moment(value, zone))
            case "reused" if value == "yes":
                wanted = replace(wanted, control_id_reused=True)
            case _:
                raise typer.BadParameter(f"{each}: see --help for what can be said")
    return wanted


def _moment(text: str, zone: tzinfo) -> datetime:
    try:
        stated = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no date or time") from error
    return stated if stated.tzinfo else stated.replace(tzinfo=zone)


def _searched(tx: Tx, wanted: MessageFilter, limit: int) -> list[ListedMessage]:
    """What fits; that somebody looked for it is on record."""
    actor = session.actor()
    found = peers.search_messages(tx, actor, wanted, limit=limit)
    entry = AuditEntry(
        action="message.search",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="message",
        object_id=wanted.sought,
        patient_id=wanted.patient_id,
    )
    audit.record(tx, entry, now=utc_now())
    return found


def _row(message: ListedMessage) -> dict[str, object]:
    return {
        "message_key": message.message_key,
        "received_at": message.received_at.isoformat(),
        "direction": message.direction,
        "peer": message.peer,
        "message_type": message.message_type,
        "control_id": message.control_id,
        "acknowledgement_code": message.acknowledgement_code,
        "patient_id": message.patient_id,
        "accession_number": message.accession_number,
        "effect": message.effect,
        "error": message.error,
    }


def _line(message: ListedMessage) -> str:
    arrow = "<-" if message.direction == "in" else "->"
    return (
        f"{message.message_key}  {message.received_at:%Y-%m-%d %H:%M:%S}  {arrow} {message.peer}  "
        f"{message.message_type}  {message.acknowledgement_code or '-'}  "
        f"{message.error or message.effect}"
    )


@session.command
def show(message_key: Key) -> None:
    """Print a message as it crossed the wire, its answer, and what may help when it was refused.

    Example: isocenter hl7 show 4711
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        found = peers.message(tx, session.actor(), message_key, now=utc_now())
    session.out.print(_segments(found.raw), markup=False)
    if found.acknowledgement:
        session.out.print(_segments(found.acknowledgement), markup=False)
    mend = mend_of(found.acknowledgement) if found.error else None
    if mend is not None:
        session.out.print(mend.text, markup=False)


def _segments(raw: bytes) -> str:
    """The message with a segment on each line, in its own character set."""
    try:
        return "\n".join(each.raw for each in parse(raw).segments) + "\n"
    except RemoteProtocolError:
        return raw.decode("utf-8", "replace").replace("\r", "\n")


@session.command
def diff(message_key: Key, other_key: Key) -> None:
    """Print the fields that the second message has otherwise than the first.

    Example: isocenter hl7 diff 4711 4712
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        first, second = (
            parse(peers.message(tx, session.actor(), key, now=utc_now()).raw)
            for key in (message_key, other_key)
        )
    for each in differences(first, second):
        before, after = each.before or "nothing", each.after or "nothing"
        session.out.print(f"{each.place}: {before} -> {after}", markup=False)


@session.command
def health(*, as_json: AsJson = False) -> None:
    """Tell how the interfaces are: last message each way, errors, queue, answer times, silence.

    Example: isocenter hl7 health --json
    """
    chosen = session.settings()
    now, zone = utc_now(), receive_options(chosen).zone
    with session.database(chosen) as db, db.transaction() as tx:
        viewer = Viewer.of(session.actor(), Action.PEER_READ)
        found = interface_health.interfaces(tx, viewer, now=now)
        silent = peers.silences(tx, viewer.actor, now=now, zone=zone)
    since = {each.peer: each.since for each in silent}
    rows: list[dict[str, object]] = [
        {
            "peer": each.peer,
            "last_in": _at(each.last_in_at),
            "last_out": _at(each.last_out_at),
            "in_24_h": each.received,
            "out_24_h": each.sent,
            "refused": each.received_errors + each.sent_errors,
            "waiting": each.waiting,
            "held": each.quarantined,
            "oldest_waiting": _at(each.oldest_queued_at),
            "answer_p95_ms": round(each.answer_p95_ms) if each.answer_p95_ms is not None else None,
            "silent_since": _at(since.get(each.peer)),
        }
        for each in found
    ]
    session.show(rows, as_json=as_json, empty="There is no HL7 interface.")


def _at(moment: datetime | None) -> str | None:
    return moment.isoformat(sep=" ", timespec="seconds") if moment else None
