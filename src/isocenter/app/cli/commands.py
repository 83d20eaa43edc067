"""The command tree: which word leads to which function.

``serve`` and ``demo`` are loaded when they are asked for, since they need much that others do not.
"""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from isocenter.app.cli import exit_codes, session
from isocenter.app.cli.attribute_commands import attributes
from isocenter.app.cli.config_commands import config
from isocenter.app.cli.conformance_command import conformance
from isocenter.app.cli.hl7_commands import hl7
from isocenter.app.cli.import_command import import_files
from isocenter.app.cli.key_commands import keys
from isocenter.app.cli.peer_commands import peer
from isocenter.app.cli.peer_questions import find, get, move
from isocenter.app.cli.people import token, user
from isocenter.app.cli.route_commands import route
from isocenter.app.cli.storage_commands import storage
from isocenter.app.cli.upkeep import doctor, migrate, verify
from isocenter.app.cli.viewer_commands import viewer

app = typer.Typer(
    name="isocenter",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=exit_codes.MEANING,
    help="Radiology from order to report. Settings come from ISOCENTER_… or isocenter.toml.",
)
app.add_typer(user, name="user")
app.add_typer(token, name="token")
app.add_typer(peer, name="peer")
app.add_typer(hl7, name="hl7")
peer.command("find")(find)
peer.command("get")(get)
peer.command("move")(move)
app.add_typer(route, name="route")
app.add_typer(config, name="config")
app.add_typer(storage, name="storage")
app.add_typer(attributes, name="attributes")
app.add_typer(keys, name="keys")
app.add_typer(viewer, name="viewer")
app.command("migrate")(migrate)
app.command("doctor")(doctor)
app.command("import")(import_files)
app.command("verify")(verify)
app.command("conformance")(conformance)


def main(arguments: list[str]) -> int:
    """Run one command; gives its exit code."""
    try:
        return int(app(arguments, standalone_mode=True) or 0)
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else exit_codes.FAILED


def _loaded(module: str) -> Any:
    return importlib.import_module(module)


@app.command()
@session.command
def serve() -> None:
    """Run everything under one supervisor until stopped with Ctrl-C or SIGTERM.

    Example: ISOCENTER_BIND=0.0.0.0 isocenter serve
    """
    raise typer.Exit(_loaded("isocenter.app.serving").serve(session.settings()))


@app.command("run")
@session.command
def run_role(
    role: Annotated[str, typer.Argument(help="web, dimse, hl7 or worker.")],
) -> None:
    """Run one role, as a container or a service manager does.

    Example: isocenter run dimse
    """
    raise typer.Exit(_loaded("isocenter.app.roles").main([role]))


@app.command()
@session.command
def demo(
    *,
    images: Annotated[
        Path | None, typer.Option(help="Use the images of this folder.", exists=True)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew.")] = False,
    port_offset: Annotated[
        int, typer.Option(min=0, max=40_000, help="Add this to every port.")
    ] = 0,
) -> None:
    """Run everything with a small hospital that plays itself; Ctrl-C ends it.

    Example: isocenter demo --fresh
    """
    module = _loaded("isocenter.app.demo.starting")
    raise typer.Exit(
        module.demo(session.settings(), images=images, fresh=fresh, port_offset=port_offset)
    )


@app.command("run-demo-hospital", hidden=True)
@session.command
def run_demo_hospital(
    *,
    ehr_port: Annotated[int, typer.Option(help="Port on which results are received.")],
    images: Annotated[Path | None, typer.Option(help="Use these images.")] = None,
) -> None:
    """Play the demonstration hospital against a product that runs already."""
    module = _loaded("isocenter.app.demo.starting")
    raise typer.Exit(module.play(session.settings(), ehr_port=ehr_port, images=images))
