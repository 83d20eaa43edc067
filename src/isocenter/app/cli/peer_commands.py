"""``isocenter peer``: the machines that may talk to us, and those that asked to."""

import asyncio
from typing import Annotated

import typer

from isocenter.app.cli import exit_codes, session
from isocenter.app.cli.peer_questions import find, get, move
from isocenter.app.reach import reach
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, Hl7Peer, PeerUnknown
from isocenter.domain.peers.model_quirks import QUIRKS
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Tx

peer = typer.Typer(no_args_is_help=True, help="Machines that may talk to us.")
add = typer.Typer(no_args_is_help=True, help="Add a peer.")
peer.add_typer(add, name="add")
peer.command("find")(find)
peer.command("get")(get)
peer.command("move")(move)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Name = Annotated[str, typer.Argument(help="Name of the peer.")]
Host = Annotated[str, typer.Option(help="Host name, address, or network as address/bits.")]


def _words(written: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in written.split(",") if word.strip())


def _peer(tx: Tx, name: str) -> DicomPeer | Hl7Peer:
    """The peer of a name, of either protocol; raises ``PeerUnknown``."""
    try:
        return peers.dicom_peer(tx, name)
    except PeerUnknown:
        return peers.hl7_peer(tx, name)


@add.command("dicom")
@session.command
def add_dicom(  # noqa: PLR0913 options of a command, given by name
    name: Name,
    *,
    ae_title: Annotated[str, typer.Option("--ae-title", help="Its AE title.")],
    host: Host,
    port: Annotated[int, typer.Option(help="Port on which it listens.")],
    allow: Annotated[
        str, typer.Option(help="What it may do: store,find,move,get,worklist,mpps,ups.")
    ] = "",
    tls: Annotated[bool, typer.Option("--tls", help="Talk to it over TLS.")] = False,
    identity_required: Annotated[
        bool, typer.Option("--identity-required", help="It must prove which user is behind it.")
    ] = False,
    forward_steps: Annotated[
        bool | None,
        typer.Option(
            "--forward-steps/--notify-steps",
            help="Tell it what scanners say they did (MPPS), or only that they said something.",
        ),
    ] = None,
) -> None:
    """Add a DICOM peer.

    Example: isocenter peer add dicom CT1 --ae-title CT1 --host 10.0.0.7 --port 104 --allow store
    """
    described = DicomPeer(
        name,
        ae_title,
        host,
        port,
        _words(allow),
        tls,
        identity_required=identity_required,
        steps_forwarded=forward_steps is True,
        steps_notified=forward_steps is False,
    )
    with session.database(session.settings()) as db, db.transaction() as tx:
        peers.add_dicom_peer(tx, session.actor(), described, now=utc_now())


@add.command("hl7")
@session.command
def add_hl7(  # noqa: PLR0913 options of a command, given by name
    name: Name,
    *,
    host: Host,
    port: Annotated[int | None, typer.Option(help="Port on which it listens.")] = None,
    send: Annotated[str, typer.Option(help="What it gets from us: oru,orm,omi,adt,siu,dft.")] = "",
    receive: Annotated[
        str, typer.Option(help="What it may send: adt,orm,oru,siu,mdm,dft,bar,qbp.")
    ] = "",
    application: Annotated[str | None, typer.Option(help="Its MSH-3; none: any.")] = None,
    assigning_authority: Annotated[
        str | None,
        typer.Option(help="Of patient ids that it sends without one; none: the setting."),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Talk to it over TLS.")] = False,
) -> None:
    """Add an HL7 v2 peer.

    Example: isocenter peer add hl7 EHR --host 10.0.0.9 --port 2576 --send oru --receive adt,orm
    """
    chosen = session.settings()
    authority = chosen.assigning_authority if assigning_authority is None else assigning_authority
    described = Hl7Peer(
        name,
        host,
        port,
        send=_words(send),
        receive=_words(receive),
        application=application,
        assigning_authority=authority,
        tls=tls,
    )
    with session.database(chosen) as db, db.transaction() as tx:
        peers.add_hl7_peer(tx, session.actor(), described, now=utc_now())


@peer.command("list")
@session.command
def list_peers(
    *,
    pending: Annotated[bool, typer.Option("--pending", help="Callers that were refused.")] = False,
    as_json: AsJson = False,
) -> None:
    """List peers, or with --pending the unknown callers that wait for approval.

    Example: isocenter peer list --pending
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        rows = _pending_rows(tx) if pending else _peer_rows(tx)
    session.show(rows, as_json=as_json, empty="None.")


def _pending_rows(tx: Tx) -> list[dict[str, object]]:
    return [
        {
            "pending_key": each.pending_key,
            "protocol": each.protocol,
            "caller": each.caller,
            "address": each.address,
            "attempts": each.attempts,
            "last_seen_at": each.last_seen_at,
        }
        for each in peers.pending_callers(tx, session.actor())
    ]


def _peer_rows(tx: Tx) -> list[dict[str, object]]:
    return [
        *(
            {
                "name": each.name,
                "protocol": "dicom",
                "title": each.ae_title,
                "address": f"{each.host}:{each.port}",
                "permissions": ",".join(sorted(each.allow)),
                "enabled": each.enabled,
                "quirks": ",".join(sorted(each.quirks)),
            }
            for each in peers.list_dicom_peers(tx, session.actor())
        ),
        *(
            {
                "name": each.name,
                "protocol": "hl7",
                "title": each.application or "",
                "address": f"{each.host}:{each.port or '-'}",
                "permissions": ",".join([
                    *(f"gets {kind}" for kind in sorted(each.send)),
                    *(f"sends {kind}" for kind in sorted(each.receive)),
                ]),
                "enabled": each.enabled,
            }
            for each in peers.list_hl7_peers(tx, session.actor())
        ),
    ]


@peer.command("remove")
@session.command
def remove(name: Name) -> None:
    """Remove a peer; what was exchanged with it stays.

    Example: isocenter peer remove CT1
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        known = _peer(tx, name)
        protocol = "dicom" if isinstance(known, DicomPeer) else "hl7"
        peers.remove_peer(tx, session.actor(), protocol, name, now=utc_now())


@peer.command("approve")
@session.command
def approve(
    pending_key: Annotated[int, typer.Argument(help="Key from `isocenter peer list --pending`.")],
    *,
    name: Annotated[str, typer.Option(help="Name for the new peer.")],
    allow: Annotated[str, typer.Option(help="What it may do: store,find,…, or adt,orm,….")],
    port: Annotated[int, typer.Option(help="Port on which a DICOM peer listens.")] = 104,
) -> None:
    """Make a peer of a caller that was refused.

    Example: isocenter peer approve 4 --name CT2 --allow store,worklist
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        now, granted = utc_now(), _words(allow)
        caller = next(
            (
                each
                for each in peers.pending_callers(tx, session.actor())
                if each.pending_key == pending_key
            ),
            None,
        )
        if caller is not None and caller.protocol == "hl7":
            peers.approve_hl7_caller(
                tx, session.actor(), pending_key, name=name, receive=granted, now=now
            )
        else:
            peers.approve_caller(
                tx, session.actor(), pending_key, peer=(name, port), allow=granted, now=now
            )


@peer.command("quirks")
@session.command
def quirks(
    name: Annotated[str | None, typer.Argument(help="Name of the DICOM peer.")] = None,
    *,
    set_to: Annotated[
        str | None, typer.Option("--set", help="All that are true of it, or '' for none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a DICOM peer strays from the standard, or what can be said of peers; or set it.

    Example: isocenter peer quirks CT1 --set assume-latin-2,plain-pending
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        if name is not None and set_to is not None:
            peers.set_quirks(tx, session.actor(), name, _words(set_to), now=utc_now())
        listed = peers.list_dicom_peers(tx, session.actor())
    if name is not None and name not in {each.name for each in listed}:
        raise PeerUnknown(f"there is no DICOM peer {name}")
    true_of_it = next((each.quirks for each in listed if each.name == name), QUIRKS.keys())
    rows = [{"quirk": each, "means": QUIRKS[each]} for each in QUIRKS if each in true_of_it]
    session.show(rows, as_json=as_json, empty="None.")


@peer.command("echo")
@session.command
def echo(name: Name) -> None:
    """Call a peer: C-ECHO for DICOM, a connection for HL7. Exit code 3 when it does not answer.

    Example: isocenter peer echo CT1
    """
    chosen = session.settings()
    with session.database(chosen) as db, db.transaction() as tx:
        known = _peer(tx, name)
    answer = asyncio.run(reach(known, chosen))
    session.out.print(f"{name}: {answer.detail} ({answer.elapsed_ms:.0f} ms)")
    if not answer.reached:
        raise typer.Exit(exit_codes.NOT_REACHABLE)
