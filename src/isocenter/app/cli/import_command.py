"""``isocenter import``: files into the archive, or the archive's tables from its objects."""

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from isocenter.app import importing, rebuilding
from isocenter.app.cli import exit_codes, session
from isocenter.app.cli.upkeep import AsJson, progress_bar
from isocenter.app.import_sources import sources
from isocenter.app.object_stores import open_blobs
from isocenter.app.settings import Settings
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database

Told = Callable[[str, str], None]


class ReportNotWritable(IsocenterError):
    """The file for the report cannot be written."""

    kind = Kind.INCORRECT


@session.command
def import_files(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files, folders, zip files, DICOMDIR.", exists=True),
    ] = None,
    *,
    from_storage: Annotated[
        bool,
        typer.Option("--from-storage", help="Take in what lies in the object stores already."),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write what was refused to this file, a JSON line each.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Admit DICOM files into the archive and report those that were refused.

    May be repeated: what is there already is passed over. With --from-storage nothing is copied;
    the tables of the archive are made again from the objects.

    Example: isocenter import /media/cd/DICOMDIR studies.zip --report refused.jsonl
    """
    if bool(paths) == from_storage:
        raise typer.BadParameter("name files, or say --from-storage", param_hint="PATHS")
    chosen = session.settings()
    with session.database(chosen) as db, _report(report) as note, progress_bar() as progress:
        if from_storage:
            refused = _rebuild(chosen, db, note, progress, as_json=as_json)
        else:
            refused = _import(chosen, db, paths or [], (note, progress), as_json=as_json)
    if refused:
        raise typer.Exit(exit_codes.FAILED)


def _import(
    chosen: Settings,
    db: Database,
    paths: list[Path],
    tell: tuple[Told, Progress],
    *,
    as_json: bool,
) -> int:
    note, progress = tell
    task = progress.add_task("Importing", total=None, done="")
    report = importing.ImportReport()
    importer = importing.Importer(
        db,
        open_blobs(chosen),
        session.actor(),
        utc_now,
        importing.ImportLimits(chosen.object_size_max_bytes, chosen.storage_free_bytes_min),
        on_progress=lambda so_far: progress.update(
            task, done=f"{so_far.files} files, {so_far.stored} new"
        ),
        on_refused=note,
    )
    try:
        importer.run(sources(paths), report)
    finally:  # what was done before a failure is told as well
        progress.stop()
        if as_json:
            sys.stdout.write(json.dumps(report.as_row()) + "\n")
        else:
            session.out.print(
                f"{report.stored} stored, {report.duplicates} already there,"
                f" {report.conflicting} kept beside others, {report.refused_count} refused"
            )
    return report.refused_count


def _rebuild(
    chosen: Settings, db: Database, note: Told, progress: Progress, *, as_json: bool
) -> int:
    task = progress.add_task("Rebuilding", total=None, done="")
    report = rebuilding.Rebuilder(
        db,
        open_blobs(chosen),
        session.actor(),
        utc_now,
        last_store=chosen.store_copy,
        on_progress=lambda so_far: progress.update(
            task, done=f"{so_far.seen} objects, {so_far.stored} taken in"
        ),
        on_refused=note,
    ).rebuild()
    progress.stop()
    if as_json:
        sys.stdout.write(json.dumps(report.as_row()) + "\n")
    else:
        session.out.print(
            f"{report.seen} objects seen: {report.known} known, {report.stored} taken in,"
            f" {report.conflicting} kept beside others, {report.duplicates} copies,"
            f" {report.derived} made from images, {report.splits} splits done again,"
            f" {len(report.refused)} refused"
        )
    return len(report.refused)


@contextmanager
def _report(file: Path | None) -> Generator[Told]:
    """A function that notes what was refused: in the file, or on standard error."""
    if file is None:
        yield lambda name, reason: session.err.print(f"refused {name}: {reason}", style="yellow")
        return
    try:
        stream = file.open("w", encoding="utf-8")
    except OSError as error:
        raise ReportNotWritable(f"{file} cannot be written: {error.strerror}") from error
    with stream:

        def note(name: str, reason: str) -> None:
            stream.write(json.dumps({"file": name, "reason": reason}) + "\n")
            stream.flush()

        yield note
