"""``isocenter storage``: where objects are, where they belong, and whether they are sound."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, ClassVar

import typer

from isocenter.app.cli import exit_codes, session
from isocenter.app.cli.upkeep import AsJson, progress_bar
from isocenter.app.keeping import Keeper
from isocenter.app.object_stores import open_blobs
from isocenter.app.setting_values import names_in
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.service import integrity, packing, placing, renditions, sweeping
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.clock import utc_now

storage = typer.Typer(no_args_is_help=True, help="Object stores and what is in them.")
_FINDINGS_SHOWN = 100


class NoStoreOfPacks(IsocenterError):
    """The settings name no store for packs."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class NoStoreOfCopies(IsocenterError):
    """The settings name no store for copies."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@storage.command("status")
@session.command
def status(*, as_json: AsJson = False) -> None:
    """Show the stores, how far reading back is, and what is damaged; exit code 1 when anything is.

    Example: isocenter storage status
    """
    chosen = session.settings()
    blobs = open_blobs(chosen)
    actor = session.actor()
    with session.database(chosen) as db, db.read() as tx:
        viewer = Viewer.of(actor, Action.SYSTEM_READ)
        state = integrity.integrity_state(tx, viewer, limit=_FINDINGS_SHOWN)
        orphans = sweeping.count_orphans(tx, actor)
        rendered = renditions.rendition_totals(tx, viewer)
        packed = packing.pack_totals(tx, viewer)
    stores = [
        {
            "store": name,
            "free_bytes": blobs.named(name).free_bytes(),
            "use": ", ".join(
                use
                for use, is_it in (
                    ("new images", name == chosen.store_current),
                    ("copies", name == chosen.store_copy),
                    ("packs", name in names_in(chosen.pack_stores)),
                )
                if is_it
            ),
        }
        for name in blobs.names
    ]
    shown = state.current or state.last
    report = {
        "stores": stores,
        "reading_back": shown
        and {
            "started_at": shown.started_at.isoformat(),
            "finished_at": shown.finished_at and shown.finished_at.isoformat(),
            "objects": shown.objects,
            "objects_total": shown.objects_total,
            "bytes": shown.bytes,
            "faults": shown.faults,
            "repaired": shown.repaired,
            "trouble": shown.trouble,
        },
        "open_faults": {fault.value: count for fault, count in state.open_faults.items()},
        "orphans": orphans,
        "renditions": asdict(rendered),
        "packs": asdict(packed),
    }
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        session.show(stores, as_json=False, empty="")
        read = "never" if shown is None else f"{shown.objects} of about {shown.objects_total}"
        session.out.print(f"read back: {read}; not in the database: {orphans}")
        session.out.print(
            f"HTJ2K renditions: {rendered.renditions}, {rendered.size_bytes} bytes;"
            f" not possible: {rendered.impossible}; series to be looked at: {rendered.series_due}"
        )
        session.out.print(
            f"packs: {packed.packs} of {packed.members} objects, {packed.size_bytes} bytes;"
            f" series to be looked at: {packed.series_due}"
        )
        for each in state.findings:
            if each.settled_at is None:
                session.err.print(
                    f"{each.fault.value} {each.sop_instance_uid}: {each.detail}", style="red"
                )
    if state.open_faults:
        raise typer.Exit(exit_codes.FAILED)


@storage.command("place")
@session.command
def place(
    study_instance_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    store: Annotated[str, typer.Argument(help="Name of the store that it belongs in.")],
) -> None:
    """Have a study kept in another store; a worker carries it there.

    Example: isocenter storage place 1.2.840.1 archive
    """
    chosen = session.settings()
    open_blobs(chosen).named(store)  # refuses a name that no store has
    with session.database(chosen) as db, db.transaction() as tx:
        placing.place_study(tx, session.actor(), study_instance_uid, store, now=utc_now())


@storage.command("copy")
@session.command
def copy(*, as_json: AsJson = False) -> None:
    """Make the second copy of every object that lacks one, now; safe to repeat.

    Example: isocenter storage copy
    """
    chosen = session.settings()
    if not chosen.store_copy:
        raise NoStoreOfCopies("set store_copy to the name of the store for copies")
    with session.database(chosen) as db, progress_bar() as progress:
        task = progress.add_task("Copying", total=None, done="")
        keeper = Keeper(db, open_blobs(chosen), session.actor(), utc_now, chosen.store_copy)
        made = keeper.copy(on_carried=lambda count: progress.update(task, done=f"{count} objects"))
    if as_json:
        sys.stdout.write(json.dumps({"copied": made}) + "\n")
    else:
        session.out.print(f"{made} objects copied to {chosen.store_copy}")


@storage.command("pack")
@session.command
def pack() -> None:
    """Have small objects packed of what was complete before packing was switched on.

    A worker packs them in the background; `isocenter storage status` shows how far it is.

    Example: isocenter storage pack
    """
    chosen = session.settings()
    if not names_in(chosen.pack_stores):
        raise NoStoreOfPacks("set pack_stores to the names of the stores in which to pack")
    with session.database(chosen) as db, db.transaction() as tx:
        count = packing.want_all_packs(tx, session.actor(), now=utc_now())
    session.out.print(f"{count} series queued")


@storage.command("renditions")
@session.command
def make_renditions(
    *,
    discard: Annotated[
        bool, typer.Option("--discard", help="Remove all; the sweeper takes the blobs.")
    ] = False,
) -> None:
    """Have HTJ2K renditions made of what was complete before they were switched on, or remove all.

    A worker makes them in the background; `isocenter storage status` shows how far it is.

    Example: isocenter storage renditions
    """
    chosen = session.settings()
    actor = session.actor()
    with session.database(chosen) as db, db.transaction() as tx:
        if discard:
            count = renditions.discard_all_renditions(tx, actor, now=utc_now())
            session.out.print(f"{count} renditions discarded")
            return
        modalities = names_in(chosen.rendition_modalities)
        count = renditions.want_all_renditions(tx, actor, modalities, now=utc_now())
    session.out.print(f"{count} series queued")


@storage.command("rejections")
@session.command
def rejections(
    study_instance_uid: Annotated[
        str | None, typer.Argument(help="Study Instance UID; none: all studies.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List what was taken out of use, the newest first, and how much of it is still.

    Example: isocenter storage rejections 1.2.840.1
    """
    with session.database(session.settings()) as db, db.read() as tx:
        viewer = Viewer.of(session.actor(), Action.STUDY_REJECT)
        found = archive.rejections(tx, viewer, study_instance_uid)
    rows = [
        {
            "study_instance_uid": each.study_instance_uid,
            "rejected_at": each.rejected_at,
            "rejected_by": each.rejected_by,
            "code": each.code,
            "reason": each.reason,
            "instances": each.number_of_instances,
            "hidden": each.number_hidden,
        }
        for each in found
    ]
    session.show(rows, as_json=as_json, empty="Nothing was rejected.")


@storage.command("restore")
@session.command
def restore(
    study_instance_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    series: Annotated[str | None, typer.Option(help="Only this Series Instance UID.")] = None,
    instance: Annotated[str | None, typer.Option(help="Only this SOP Instance UID.")] = None,
) -> None:
    """Bring rejected images back into use; they are routed again like new ones.

    Example: isocenter storage restore 1.2.840.1 --reason "the right patient after all"
    """
    chosen = session.settings()
    blobs = open_blobs(chosen)
    path = (study_instance_uid, series, instance)
    with session.database(chosen) as db, db.transaction() as tx:
        count = archive.restore(tx, session.actor(), blobs, path, reason=reason, now=utc_now())
    session.out.print(f"{count} images are in use again")
