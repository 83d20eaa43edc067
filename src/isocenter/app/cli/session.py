"""What commands share: settings, the database for the time of a command, failures as one line.

A command uses the embedded server that ``serve`` runs, or runs it for its own duration.
"""

import getpass
import importlib
import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import ClassVar, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from isocenter.app import settings_reader
from isocenter.app.cli import exit_codes
from isocenter.app.settings import Settings
from isocenter.domain.access.model import Actor
from isocenter.errors import IsocenterError, Kind
from isocenter.infra import embedded_postgres, log
from isocenter.infra.db import Database, Route
from isocenter.infra.db import migrate as migrations

P = ParamSpec("P")
R = TypeVar("R")

out = Console(highlight=False, soft_wrap=True)
_NARROW_COLUMNS = 3  # so few are not folded, however narrow the terminal
_unfolded = Console(highlight=False, soft_wrap=True, width=1000)

err = Console(highlight=False, soft_wrap=True, stderr=True)


class HomeNotWritable(IsocenterError):
    """The home cannot be made or written."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


def command(function: Callable[P, R]) -> Callable[P, R]:
    """The function as a command: anticipated failures become one line and an exit code."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        log.configure("warning", "console")
        try:
            return function(*args, **kwargs)
        except IsocenterError as error:
            err.print(f"isocenter: {error.message}", style="red")
            raise typer.Exit(exit_codes.OF_KIND[error.kind]) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    return run


def settings() -> Settings:
    """The settings in force; unknown ones are told on standard error."""
    effective = settings_reader.read()
    for warning in effective.warnings:
        err.print(f"isocenter: {warning}", style="yellow")
    return effective.settings


def actor() -> Actor:
    """Who acts when a command is given at the installation's own console."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Actor.system(f"console:{name}")


def prepare_home(chosen: Settings) -> None:
    """Make the home's folders.

    Raises:
        HomeNotWritable: they cannot be made.
    """
    try:
        chosen.home.mkdir(parents=True, exist_ok=True)
        chosen.run_folder.mkdir(mode=0o700, exist_ok=True)
        probe = chosen.run_folder / "writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HomeNotWritable(
            f"the home {chosen.home} cannot be written: {error.strerror}; set ISOCENTER_HOME"
        ) from error


@contextmanager
def server_url(chosen: Settings) -> Generator[str]:
    """The database's URL, with the embedded server up for as long as the block lasts."""
    if chosen.database_url:
        yield chosen.database_url
        return
    prepare_home(chosen)
    server = embedded_postgres.start(chosen.home, share=True)
    try:
        yield server.url
    finally:
        server.stop()


class Routes:
    """Who wants to know of which event, loaded with the first event: most commands have none."""

    def for_event(self, name: str) -> Sequence[Route]:
        """The routes of the event called ``name``."""
        return importlib.import_module("isocenter.app.subscriptions").router().for_event(name)


@contextmanager
def database(chosen: Settings) -> Generator[Database]:
    """The migrated database, for the time of a command; raises ``SchemaOutdated``."""
    with server_url(chosen) as url:
        migrations.require_current(url)
        opened = Database(
            url, router=Routes(), connections_max=2, application_name="isocenter-command"
        )
        try:
            yield opened
        finally:
            opened.close()


def show(rows: Sequence[Mapping[str, object]], *, as_json: bool, empty: str) -> None:
    """Print rows as a table for people, or as JSON for scripts."""
    if as_json:
        sys.stdout.write(json.dumps(rows, default=str) + "\n")
        return
    if not rows:
        err.print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    is_narrow = len(rows[0]) <= _NARROW_COLUMNS
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=is_narrow)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    (_unfolded if is_narrow else out).print(table)
