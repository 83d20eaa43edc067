"""``isocenter config``: peers and routes as one JSON document, to be kept or moved."""

import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, cast

import msgspec
import typer

from isocenter.app.cli import session
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Route
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, Hl7Peer
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.clock import utc_now

config = typer.Typer(no_args_is_help=True, help="Peers and routes as a document.")

_FORMAT = "isocenter-config-1"
P = TypeVar("P", DicomPeer, Hl7Peer)


class BadConfigDocument(IsocenterError):
    """The document is not one that ``config export`` writes."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@config.command("export")
@session.command
def export() -> None:
    """Print all peers and routes as JSON. Users, tokens and patient data are not part of it.

    Example: isocenter config export > peers.json
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        document = {
            "format": _FORMAT,
            "dicom_peers": [_row(each) for each in peers.list_dicom_peers(tx, session.actor())],
            "hl7_peers": [_row(each) for each in peers.list_hl7_peers(tx, session.actor())],
            "routes": [
                msgspec.to_builtins(each) for each in distribution.routes(tx, session.actor())
            ],
        }
    sys.stdout.write(json.dumps(document, indent=2, sort_keys=True) + "\n")


@config.command("import")
@session.command
def import_document(
    file: Annotated[Path, typer.Argument(help="File that `config export` wrote.", exists=True)],
) -> None:
    """Add the peers and routes of a document; known names are replaced. All or nothing.

    Example: isocenter config import peers.json
    """
    document = _read(file)
    dicom = [_peer(DicomPeer, row) for row in document.get("dicom_peers", [])]
    hl7 = [_peer(Hl7Peer, row) for row in document.get("hl7_peers", [])]
    routes = [_route(row) for row in document.get("routes", [])]
    actor, now = session.actor(), utc_now()
    with session.database(session.settings()) as db, db.transaction() as tx:
        known_dicom = {each.name for each in peers.list_dicom_peers(tx, actor)}
        known_hl7 = {each.name for each in peers.list_hl7_peers(tx, actor)}
        for each in dicom:
            if each.name in known_dicom:
                peers.remove_peer(tx, actor, "dicom", each.name, now=now)
            peers.add_dicom_peer(tx, actor, each, now=now)
        for each in hl7:
            if each.name in known_hl7:
                peers.remove_peer(tx, actor, "hl7", each.name, now=now)
            peers.add_hl7_peer(tx, actor, each, now=now)
        known_routes = {each.name for each in distribution.routes(tx, actor)}
        for each in routes:
            if each.name in known_routes:
                distribution.remove_route(tx, actor, each.name, now=now)
            distribution.add_route(tx, actor, each, now=now)
    counted = f"{len(dicom)} DICOM peers, {len(hl7)} HL7 peers and {len(routes)} routes"
    session.out.print(f"{counted} imported")


def _row(peer: DicomPeer | Hl7Peer) -> dict[str, Any]:
    return {
        name: sorted(cast("frozenset[str]", value)) if isinstance(value, frozenset) else value
        for name, value in asdict(peer).items()
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfigDocument(f"{file} is not a readable JSON document: {error}") from error
    if not isinstance(document, dict) or cast("dict[str, Any]", document).get("format") != _FORMAT:
        raise BadConfigDocument(f"{file} is not a document of format {_FORMAT}")
    return cast("dict[str, Any]", document)


def _peer(kind: type[P], row: dict[str, Any]) -> P:
    known = {each.name for each in fields(kind)}
    unknown = sorted(set(row) - known)
    if unknown:
        raise BadConfigDocument(f"a peer has unknown fields: {', '.join(unknown)}")
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        raise BadConfigDocument(f"a peer cannot be read: {error}") from error


def _route(row: object) -> Route:
    try:
        return msgspec.convert(row, Route)
    except msgspec.ValidationError as error:
        raise BadConfigDocument(f"a route cannot be read: {error}") from error
