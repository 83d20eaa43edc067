"""``isocenter migrate``, ``doctor``, ``verify``: the installation and its archive."""

import json
import sys
from typing import Annotated, Literal

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from isocenter.app import inspection, settings_reader, verification
from isocenter.app.cli import exit_codes, session
from isocenter.app.object_stores import open_blobs
from isocenter.infra.clock import utc_now
from isocenter.infra.db import migrate as migrations

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@session.command
def migrate(
    *,
    phase: Annotated[
        str, typer.Option(help="all, pre (before new code runs) or post (after the old is gone).")
    ] = "all",
    as_json: AsJson = False,
) -> None:
    """Bring the database to this version. Safe to repeat, and while others do the same.

    Example: isocenter migrate
    """
    phases: dict[str, Literal["all", "pre", "post"]] = {"all": "all", "pre": "pre", "post": "post"}
    if phase not in phases:
        raise typer.BadParameter("all, pre or post", param_hint="--phase")
    with session.server_url(session.settings()) as url:
        applied = migrations.migrate(url, phase=phases[phase])
    if as_json:
        sys.stdout.write(json.dumps({"applied": applied}) + "\n")
    else:
        session.out.print(f"{len(applied)} migrations applied" if applied else "nothing to do")


@session.command
def doctor(*, as_json: AsJson = False) -> None:
    """Show every setting with its origin, and whether everything needed can be reached.

    Example: isocenter doctor
    """
    effective = settings_reader.read()
    findings = inspection.inspect(effective.settings)
    if as_json:
        report = {
            "settings": inspection.settings_rows(effective),
            "warnings": list(effective.warnings),
            "checks": [each.as_row() for each in findings],
        }
        sys.stdout.write(json.dumps(report, default=str) + "\n")
    else:
        rows = inspection.settings_rows(effective)
        shown = [{key: row[key] for key in ("setting", "value", "from")} for row in rows]
        session.show(shown, as_json=False, empty="")
        for warning in effective.warnings:
            session.out.print(f"warning: {warning}", style="yellow")
        session.out.print()
        for each in findings:
            mark, style = {
                "ok": ("ok  ", "green"),
                "warning": ("warn", "yellow"),
                "failed": ("FAIL", "red"),
            }[each.state]
            session.out.print(f"{mark} {each.what}: {each.detail}", style=style)
    if any(each.state == "failed" for each in findings):
        raise typer.Exit(exit_codes.NOT_REACHABLE)


@session.command
def verify(
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put sound bytes of another store in the place.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read every stored object back and compare its digest; check the audit chain.

    Example: isocenter verify --repair
    """
    chosen = session.settings()
    with session.database(chosen) as db, progress_bar() as progress:
        task = progress.add_task("Verifying", total=None, done="")
        report = verification.Verifier(
            db,
            open_blobs(chosen),
            session.actor(),
            utc_now,
            repairs=repair,
            on_progress=lambda count, total: progress.update(
                task, completed=count, total=total, done=f"{count} of {total} objects"
            ),
        ).verify()
    if as_json:
        sys.stdout.write(json.dumps(report.as_row()) + "\n")
    else:
        for each in report.damaged:
            mended = " (repaired)" if each.repaired else ""
            session.err.print(f"{each.sop_instance_uid}: {each.reason}{mended}", style="red")
        chain = "intact" if report.broken_audit_record is None else "BROKEN"
        session.out.print(
            f"{report.checked} objects checked, {len(report.damaged)} damaged; audit chain {chain}"
        )
    if not report.is_sound:
        raise typer.Exit(exit_codes.FAILED)


def progress_bar() -> Progress:
    """A line on the terminal that says how far a command is."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description} {task.fields[done]}"),
        TimeElapsedColumn(),
        console=session.err,
        transient=True,
        disable=not session.err.is_terminal,
    )
