"""``isocenter hl7``: what was said in HL7, and changing an interface safely."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from isocenter.app.cli import exit_codes, hl7_questions, session
from isocenter.app.hl7_desk import Hl7Desk
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import BadPeer
from isocenter.domain.peers.model_meaning import Change
from isocenter.domain.peers.model_replay import REPLAYS_AT_ONCE_MAX, ReplayWish
from isocenter.domain.peers.model_versions import Trial, VersionUnknown, described, difference
from isocenter.infra.clock import utc_now
from isocenter.infra.pools import Pool

hl7 = typer.Typer(no_args_is_help=True, help="HL7 messages and interfaces.")
golden = typer.Typer(no_args_is_help=True, help="Messages that must always mean the same.")
hl7.add_typer(golden, name="golden")
hl7.command("search")(hl7_questions.search)
hl7.command("show")(hl7_questions.show)
hl7.command("diff")(hl7_questions.diff)
hl7.command("health")(hl7_questions.health)

Peer = Annotated[str, typer.Argument(help="Name of the HL7 peer.")]
Key = Annotated[int, typer.Argument(help="Key of a message in the log.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the message.")]
_SHOWN_MAX = 50


@hl7.command("held")
@session.command
def held(
    *,
    peer: Annotated[str, typer.Option(help="Only of this peer.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """List what waits for a person behind a message that was refused for good.

    Example: isocenter hl7 held --peer EHR
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        viewer = Viewer.of(session.actor(), Action.DELIVERY_READ)
        found = distribution.quarantines(tx, viewer, recipient=peer or None)
    rows = [
        {
            "delivery": each.delivery_key,
            "peer": each.recipient,
            "accession_number": each.accession_number,
            "since": f"{each.quarantined_at:%Y-%m-%d %H:%M:%S}",
            "waiting": each.waiting,
            "reason": each.last_error or "",
        }
        for each in found
    ]
    session.show(rows, as_json=as_json, empty="Nothing is held.")


@hl7.command("skip")
@session.command
def skip(
    delivery_key: Annotated[int, typer.Argument(help="Key of the delivery.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is put on record.")],
) -> None:
    """Send a delivery no more, and go on with what waits behind it.

    Example: isocenter hl7 skip 4711 --reason "told by telephone"
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        distribution.skip(tx, session.actor(), delivery_key, reason=reason, now=utc_now())


@hl7.command("resend")
@session.command
def resend(
    peer: Peer,
    *,
    rate: Annotated[
        float, typer.Option(min=0.1, max=100, help="So many in a second.")
    ] = distribution.REPLAY_RATE_PER_S,
) -> None:
    """Send what a peer refused again: slowly, and behind what is new; prints how many.

    Example: isocenter hl7 resend EHR --rate 5
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        count = distribution.replay_refused(
            tx, session.actor(), peer, rate_per_s=rate, now=utc_now()
        )
    session.out.print(str(count))


@hl7.command("explain")
@session.command
def explain(message_key: Key) -> None:
    """Say what a message means, and which of its fields says what.

    Example: isocenter hl7 explain 4711
    """
    chosen = session.settings()
    with session.database(chosen) as db, db.transaction() as tx:
        message = peers.message(tx, session.actor(), message_key, now=utc_now())
        peer = peers.hl7_peer(tx, message.peer)
        desk = Hl7Desk.of(chosen, utc_now)
        told = desk.meaning(message, peer)
        session.out.print(f"{told.answer}  {told.refusal}", markup=False)
        for path, value in told.facts.items():
            session.out.print(f"  {path} = {value}", markup=False)
        for each in desk.influences(message, peer):
            needed = " (needed)" if each.required else ""
            session.out.print(f"  {each.place}{needed} -> {', '.join(each.facts)}", markup=False)


@hl7.command("replay")
@session.command
def replay(
    message_keys: Annotated[list[int], typer.Argument(help="Keys of messages that came in.")],
    *,
    reason: Reason,
    edited: Annotated[Path | None, typer.Option(help="A file to process instead.")] = None,
    rate_per_s: Annotated[float, typer.Option(min=0.1, max=100)] = 20.0,
) -> None:
    """Have messages processed again; the worker does it.

    Example: isocenter hl7 replay 4711 4712 --reason "the procedure code is known now"
    """
    if len(message_keys) > REPLAYS_AT_ONCE_MAX:
        raise typer.BadParameter(f"at most {REPLAYS_AT_ONCE_MAX} messages")
    wish = ReplayWish(reason, edited.read_bytes() if edited else None, rate_per_s)
    with session.database(session.settings()) as db, db.transaction() as tx:
        keys = peers.process_again(tx, session.actor(), message_keys, wish, now=utc_now())
    session.out.print(f"{len(keys)} will be processed again")


@hl7.command("send")
@session.command
def send(
    name: Peer,
    file: Annotated[Path, typer.Argument(help="The message, one segment on each line.")],
    *,
    reason: Reason,
    live: Annotated[bool, typer.Option(help="Not as a test (MSH-11 T).")] = False,
) -> None:
    """Send a message to a peer now and print its answer. Exit code 3 when it is not accepted.

    Example: isocenter hl7 send EHR test.hl7 --reason "after their upgrade"
    """
    chosen = session.settings()
    desk = Hl7Desk.of(chosen, utc_now)
    with session.database(chosen) as db:
        pool = Pool(db, threads=1)
        sending = desk.send(
            pool, session.actor(), name, file.read_bytes(), reason=reason, is_test=not live
        )
        key = asyncio.run(sending)
        pool.close()
        with db.transaction() as tx:
            sent = peers.message(tx, session.actor(), key, now=utc_now())
    session.out.print(
        f"{sent.acknowledgement_code or 'no answer'}  {sent.error or ''}", markup=False
    )
    if sent.error or not sent.acknowledgement_code:
        raise typer.Exit(exit_codes.NOT_REACHABLE)


@hl7.command("versions")
@session.command
def versions(name: Peer) -> None:
    """List the versions of an interface and what is different in each.

    Example: isocenter hl7 versions EHR
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        current = peers.hl7_peer(tx, name)
        for each in peers.hl7_versions(tx, session.actor(), name):
            state = "counts" if each.active else "earlier" if each.promoted_at else "draft"
            session.out.print(f"{each.version}  {state}  {each.made_by}  {each.note}", markup=False)
            _print_changes(difference(current, each.peer))


@hl7.command("draft")
@session.command
def draft(
    name: Peer,
    changed: Annotated[
        list[str], typer.Argument(help="attribute=value, lists with commas, @FILE for its text.")
    ],
    *,
    note: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Keep a changed configuration as a draft; nothing else changes yet.

    Example: isocenter hl7 draft EHR version=2.3.1 field_map=@ehr.toml
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        usual = described(peers.hl7_peer(tx, name))
        values = dict(_typed(each, usual) for each in changed)
        made = peers.draft_hl7_version(tx, session.actor(), name, values, note=note, now=utc_now())
    session.out.print(f"version {made.version} is a draft: isocenter hl7 try {name} {made.version}")


@hl7.command("try")
@session.command
def try_version(name: Peer, version: Annotated[int, typer.Argument(help="Which version.")]) -> None:
    """Tell what a version would change in what was said in the last seven days.

    Exit code 5 when some message would be understood or written otherwise.

    Example: isocenter hl7 try EHR 3
    """
    chosen = session.settings()
    with session.database(chosen) as db, db.transaction() as tx:
        current = peers.hl7_peer(tx, name)
        known = peers.hl7_versions(tx, session.actor(), name)
        wanted = next((each for each in known if each.version == version), None)
        if wanted is None:
            raise VersionUnknown(f"{name} has no version {version}")
        desk = Hl7Desk.of(chosen, utc_now)
        received, sent = desk.tried(tx, session.actor(), (current, wanted.peer))
    _print_trial("received", received)
    _print_trial("sent", sent)
    if received.different or sent.different:
        raise typer.Exit(exit_codes.CONFLICT)


@hl7.command("promote")
@session.command
def promote(name: Peer, version: Annotated[int, typer.Argument(help="Which version.")]) -> None:
    """Have a version count from now on: a draft, or an earlier one again.

    Example: isocenter hl7 promote EHR 3
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        peers.promote_hl7_version(tx, session.actor(), name, version, now=utc_now())
    session.out.print(f"{name} is version {version} now")


@hl7.command("verify")
@session.command
def verify(name: Peer) -> None:
    """Read the golden messages of an interface again. Exit code 5 when some mean something else.

    Example: isocenter hl7 verify EHR
    """
    chosen = session.settings()
    with session.database(chosen) as db, db.transaction() as tx:
        found = Hl7Desk.of(chosen, utc_now).verified(tx, session.actor(), name)
    _print_trial("golden", found)
    if found.different:
        raise typer.Exit(exit_codes.CONFLICT)


@golden.command("keep")
@session.command
def keep(message_key: Key, *, title: Annotated[str, typer.Option(help="Its name.")] = "") -> None:
    """Keep a message of the log with what it means today.

    Example: isocenter hl7 golden keep 4711 --title "stat CT order"
    """
    chosen = session.settings()
    with session.database(chosen) as db, db.transaction() as tx:
        key = Hl7Desk.of(chosen, utc_now).keep_golden(tx, session.actor(), message_key, title)
    session.out.print(f"kept as {key}")


@golden.command("forget")
@session.command
def forget(golden_key: Annotated[int, typer.Argument(help="Key of a golden message.")]) -> None:
    """No longer verify a message.

    Example: isocenter hl7 golden forget 3
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        peers.forget_golden(tx, session.actor(), golden_key, now=utc_now())


def _typed(written: str, usual: dict[str, Any]) -> tuple[str, Any]:
    """Name and value of ``name=value``, of the kind that the attribute has."""
    name, separator, text = written.partition("=")
    if not separator or name not in usual:
        raise BadPeer(f"write attribute=value; attributes are {', '.join(usual)}")
    value = usual[name]
    try:
        match value:
            case bool():
                return name, text.casefold() in {"1", "yes", "true", "on"}
            case list():
                return name, [each.strip() for each in text.split(",") if each.strip()]
            case float() | int():
                return name, type(value)(text)
            case str() if text.startswith("@"):
                return name, Path(text[1:]).read_text(encoding="utf-8")
            case _:
                return name, text or None if value is None else text
    except ValueError as error:
        raise BadPeer(f"{name} is a number") from error


def _print_trial(what: str, found: Trial) -> None:
    session.out.print(f"{what}: {found.tried} read, {len(found.different)} different")
    for each in found.different[:_SHOWN_MAX]:
        session.out.print(
            f"  {each.message_key} {each.message_type} {each.control_id}", markup=False
        )
        _print_changes(list(each.changes))


def _print_changes(found: list[Change]) -> None:
    for each in found:
        session.out.print(
            f"    {each.path}: {each.before or 'nothing'} -> {each.after or 'nothing'}",
            markup=False,
        )
