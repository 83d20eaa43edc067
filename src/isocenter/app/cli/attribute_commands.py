"""``isocenter attributes``: what searches know beyond the archive's own attributes."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from isocenter.app.cli import exit_codes, session
from isocenter.app.cli.upkeep import AsJson
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive.model_attributes import Reindex, ReindexError, new_attribute
from isocenter.domain.archive.service import attributes as service
from isocenter.infra.clock import utc_now
from isocenter.standards.dicomweb.attribute_levels import level_of

attributes = typer.Typer(
    no_args_is_help=True, help="Attributes that QIDO-RS and C-FIND match beyond the usual ones."
)
_ERRORS_SHOWN = 100


@attributes.command("add")
@session.command
def add(
    attribute: Annotated[str, typer.Argument(help="Keyword, or tag of eight hexadecimal digits.")],
    *,
    creator: Annotated[str, typer.Option(help="Private creator, of a private attribute.")] = "",
    vr: Annotated[str, typer.Option(help="VR, of a private attribute.")] = "",
    level: Annotated[
        str, typer.Option(help="study, series or instance; else where the standard has it.")
    ] = "",
) -> None:
    """Have an attribute indexed: a worker reads all that is stored, then searches know it.

    Example: isocenter attributes add 00431028 --creator GEMS_PARM_01 --vr LO --level series
    """
    new = new_attribute(
        attribute, private_creator=creator, vr=vr, level=level, default_level_of=level_of
    )
    with session.database(session.settings()) as db, db.transaction() as tx:
        key = service.add_attribute(tx, session.actor(), new, now=utc_now())
    session.out.print(f"{new.name} ({new.vr}, {new.level}) has the key {key}")


@attributes.command("list")
@session.command
def show(*, as_json: AsJson = False) -> None:
    """Show the attributes that were added, and whether searches know them yet.

    Example: isocenter attributes list
    """
    with session.database(session.settings()) as db, db.read() as tx:
        viewer = Viewer.of(session.actor(), Action.SYSTEM_READ)
        found = service.indexed_attributes(tx, viewer)
    rows = [
        {
            "key": each.attribute_key,
            "tag": f"{each.tag:08X}",
            "creator": each.private_creator,
            "name": each.name,
            "vr": each.vr,
            "level": each.level,
            "state": each.state.value,
        }
        for each in found
    ]
    session.show(rows, as_json=as_json, empty="no attribute was added")


@attributes.command("remove")
@session.command
def remove(key: Annotated[int, typer.Argument(help="Key as `list` shows it.")]) -> None:
    """Index an attribute no more; objects keep theirs.

    Example: isocenter attributes remove 3
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        service.remove_attribute(tx, session.actor(), key, now=utc_now())


@attributes.command("status")
@session.command
def status(*, as_json: AsJson = False) -> None:
    """Show how far reading all that is stored is; exit code 1 when something could not be indexed.

    Example: isocenter attributes status
    """
    with session.database(session.settings()) as db, db.read() as tx:
        viewer = Viewer.of(session.actor(), Action.SYSTEM_READ)
        found = service.newest_reindex(tx, viewer)
        errors: Sequence[ReindexError] = ()
        if found is not None:
            errors = service.reindex_errors(tx, viewer, found.reindex_key, limit=_ERRORS_SHOWN)
    session.show([_row(found)] if found else [], as_json=as_json, empty="nothing was read yet")
    if not as_json:
        session.show([asdict(each) for each in errors], as_json=False, empty="")
    if found and found.errors:
        raise typer.Exit(exit_codes.FAILED)


def _row(found: Reindex) -> dict[str, Any]:
    return {
        "state": found.state.value,
        "started_at": found.started_at.isoformat(timespec="seconds"),
        "ended_at": found.ended_at.isoformat(timespec="seconds") if found.ended_at else None,
        "series": found.series,
        "series_total": found.series_total,
        "instances": found.instances,
        "errors": found.errors,
    }


@attributes.command("reindex")
@session.command
def reindex(
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the one that is running.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a cancelled one.")] = False,
) -> None:
    """Have all that is stored read again for the attributes that were added.

    Example: isocenter attributes reindex --resume
    """
    actor = session.actor()
    with session.database(session.settings()) as db, db.transaction() as tx:
        if cancel:
            service.cancel_reindex(tx, actor, now=utc_now())
        elif resume:
            service.resume_reindex(tx, actor, now=utc_now())
        else:
            service.begin_reindex(tx, actor, now=utc_now())
