"""The command tree: which word leads to which function.

What a command needs is loaded when the command is given: all of it together takes a second.
"""

import importlib
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

from isocenter.app.cli import exit_codes, session

_IN = "isocenter.app.cli."
_ELSEWHERE: Final = {
    "migrate": ("upkeep", "migrate"),
    "doctor": ("upkeep", "doctor"),
    "import": ("import_command", "import_files"),
    "verify": ("upkeep", "verify"),
    "conformance": ("conformance_command", "conformance"),
    "user": ("people", "user"),
    "token": ("people", "token"),
    "peer": ("peer_commands", "peer"),
    "hl7": ("hl7_commands", "hl7"),
    "route": ("route_commands", "route"),
    "config": ("config_commands", "config"),
    "storage": ("storage_commands", "storage"),
    "attributes": ("attribute_commands", "attributes"),
    "keys": ("key_commands", "keys"),
    "viewer": ("viewer_commands", "viewer"),
}


class _Tree(TyperGroup):
    """The commands, each of which is imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All words that may come first."""
        return [*super().list_commands(ctx), *_ELSEWHERE]

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        """What a word stands for; None when it stands for nothing."""
        if cmd_name not in _ELSEWHERE:
            return cast("TyperCommand | None", super().get_command(ctx, cmd_name))
        module, name = _ELSEWHERE[cmd_name]
        found = getattr(_loaded(_IN + module), name)
        branch = typer.Typer(pretty_exceptions_enable=False)
        if isinstance(found, typer.Typer):
            branch.add_typer(found, name=cmd_name)
        else:
            branch.command(cmd_name)(found)
        made = typer.main.get_command(branch)
        inner = made.commands[cmd_name] if isinstance(made, TyperGroup) else made
        return cast("TyperCommand | TyperGroup", inner)


app = typer.Typer(
    name="isocenter",
    cls=_Tree,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=exit_codes.MEANING,
    help="Radiology from order to report. Settings come from ISOCENTER_… or isocenter.toml.",
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        session.out.print(f"isocenter {_loaded('importlib.metadata').version('isocenter')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version_wanted: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """What may stand before a command."""
    del version_wanted


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
