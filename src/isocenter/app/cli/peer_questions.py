"""``isocenter peer find``, ``move`` and ``get``: what another archive holds, and its images.

Study Root. What is asked of whom is kept in the audit, by the keys and not by their values.

Standard: PS3.4 C.4.1, C.4.2, C.4.3
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from isocenter.app.cli import exit_codes, session
from isocenter.app.getting import Getter
from isocenter.app.object_stores import open_blobs
from isocenter.app.settings import Settings
from isocenter.app.tls_contexts import dicom_client_context
from isocenter.domain.access.model import Action, authorize
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.peers import service as peers
from isocenter.gateways.dimse import scu, scu_get
from isocenter.gateways.dimse.retrieve_plan import callable_peer
from isocenter.infra.clock import utc_now
from isocenter.standards.dicom import dictionary, uids
from isocenter.standards.dicom.dimse.status import Category, category_of
from isocenter.standards.dicom.matching_keys import UnknownParameterError, parse_path
from isocenter.standards.dicom.query_retrieve import QUERY_RETRIEVE_LEVEL, Level
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET

# What is asked for when nothing else is, at each level.
_RETURNED: Final = {
    Level.STUDY: (
        "StudyDate", "PatientID", "PatientName", "AccessionNumber", "ModalitiesInStudy",
        "StudyDescription", "NumberOfStudyRelatedInstances", "StudyInstanceUID",
    ),
    Level.SERIES: (
        "Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances",
        "SeriesInstanceUID",
    ),
    Level.IMAGE: ("InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
}  # fmt: skip
_STUDY_INSTANCE_UID: Final = 0x0020000D
_NOT_SHOWN: Final = frozenset({QUERY_RETRIEVE_LEVEL, SPECIFIC_CHARACTER_SET})

Name = Annotated[str, typer.Argument(help="Name of the DICOM peer.")]
AtLevel = Annotated[str, typer.Option("--level", help="study, series or image.")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", "-k", help="Attribute=value to match; Attribute alone to be told it."),
]


@session.command
def find(
    name: Name,
    *,
    level: AtLevel = "study",
    key: Keys = None,
    limit: Annotated[int, typer.Option(help="Stop after so many.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Ask a DICOM peer what it holds (C-FIND).

    Example: isocenter peer find PACS -k PatientID=4711 -k StudyDate=20260101-
    """
    wanted = _level(level)
    identifier = _identifier(wanted, key or [], returned=_RETURNED[wanted])
    chosen = session.settings()
    called = _called(chosen, name, "peer.find", identifier)
    found = asyncio.run(
        scu.find(called, uids.STUDY_ROOT_FIND, identifier, matches_max=max(1, limit))
    )
    rows = [_row(each, identifier) for each in found]
    if as_json:
        for row in rows:
            plain = {k: v[0] if len(v) == 1 else v or None for k, v in row.items()}
            sys.stdout.write(json.dumps(plain) + "\n")
    else:
        shown = [{keyword: ", ".join(values) for keyword, values in each.items()} for each in rows]
        session.show(shown, as_json=False, empty="Nothing.")


@session.command
def move(
    name: Name,
    *,
    to: Annotated[str, typer.Option("--to", help="AE title of whom the images go to.")],
    level: AtLevel = "study",
    key: Keys = None,
) -> None:
    """Have a DICOM peer send images to an application that it knows (C-MOVE).

    Exit code 1 when not everything was sent.

    Example: isocenter peer move PACS --to ISOCENTER -k StudyInstanceUID=1.2.840.113619.2.1
    """
    identifier = _identifier(_level(level), key or [], returned=())
    chosen = session.settings()
    called = _called(chosen, name, "peer.move", identifier)
    last = asyncio.run(_moved(called, identifier, to))
    said = f"{last.completed} sent, {last.failed} failed, {last.warnings} with warnings"
    session.out.print(f"{name}: {said} (status {last.status:04X}H {last.error_comment})".rstrip())
    for uid in last.failed_sop_instance_uids:
        session.err.print(f"failed: {uid}")
    if category_of(last.status) is not Category.SUCCESS:
        raise typer.Exit(exit_codes.FAILED)


@session.command
def get(name: Name, *, level: AtLevel = "study", key: Keys = None) -> None:
    """Take images from a DICOM peer into the archive (C-GET).

    They come over the connection that asks for them: the peer need not know us as a destination.
    Exit code 1 when not everything came.

    Example: isocenter peer get PACS -k StudyInstanceUID=1.2.840.113619.2.1
    """
    identifier = _identifier(_level(level), key or [], returned=())
    chosen = session.settings()
    called = _called(chosen, name, "peer.get", identifier)
    with session.database(chosen) as db:
        getter = Getter(
            db,
            open_blobs(chosen),
            session.actor(),
            utc_now,
            called.called_ae_title,
            chosen.storage_free_bytes_min,
        )
        ended = asyncio.run(_got(called, identifier, getter))
    came = ", ".join(f"{number} {outcome.value}" for outcome, number in getter.outcomes.items())
    said = f"{ended.completed} sent, {ended.failed} failed, {ended.warnings} with warnings"
    status = f"(status {ended.status:04X}H {ended.error_comment}".rstrip() + ")"
    session.out.print(f"{name}: {said} {status}: {came or 'nothing came'}")
    for uid in ended.failed_sop_instance_uids:
        session.err.print(f"failed: {uid}")
    if category_of(ended.status) is not Category.SUCCESS:
        raise typer.Exit(exit_codes.FAILED)


async def _got(called: scu.Peer, identifier: DataSet, getter: Getter) -> scu_get.GetProgress:
    study = identifier.text(_STUDY_INSTANCE_UID)
    classes = await scu_get.classes_of(called, study) if study else []
    return await scu_get.get(called, identifier, getter.take, sop_class_uids=classes)


async def _moved(called: scu.Peer, identifier: DataSet, to: str) -> scu.MoveProgress:
    """How it ended; on a terminal, the way there is shown."""
    last: scu.MoveProgress | None = None
    contexts = [(uids.STUDY_ROOT_MOVE, scu.UNCOMPRESSED)]
    async with scu.associate(called, contexts) as association:
        async for last in association.move(uids.STUDY_ROOT_MOVE, identifier, to):
            if session.err.is_terminal and last.remaining is not None:
                session.err.print(f"{last.remaining} to go", end="\r")
    if last is None:
        raise scu.PeerFault("the peer did not answer")
    return last


def _level(written: str) -> Level:
    try:
        return next(each for each in _RETURNED if each == written.upper())
    except StopIteration:
        raise typer.BadParameter("a level is study, series or image") from None


def _identifier(level: Level, keys: Sequence[str], *, returned: Sequence[str]) -> DataSet:
    """The identifier; values are parted by backslashes as DICOM does."""
    identifier = DataSet()
    for keyword in returned:
        identifier.put(keyword)
    for key in keys:
        attribute, _, value = key.partition("=")
        try:
            path = parse_path(attribute)
        except UnknownParameterError as error:
            raise typer.BadParameter(str(error)) from error
        if len(path) > 1:
            raise typer.BadParameter(f"{attribute}: keys inside of sequences are not asked here")
        identifier.put(path[0], *(value.split("\\") if value else ()))
    identifier.put(QUERY_RETRIEVE_LEVEL, level.value)
    if not "".join(identifier.all_texts()).isascii():
        identifier.put(SPECIFIC_CHARACTER_SET, "ISO_IR 192")
    return identifier


def _called(chosen: Settings, name: str, action: str, identifier: DataSet) -> scu.Peer:
    """How to call the peer; that it is asked is kept first. Raises ``PeerUnknown``."""
    actor = session.actor()
    authorize(actor, Action.STUDY_READ)
    with session.database(chosen) as db, db.transaction() as tx:
        known = peers.dicom_peer(tx, name)
        entry = AuditEntry(
            action=action,
            actor=actor.name,
            actor_kind=actor.kind.value,
            source=actor.source,
            object_type="peer",
            object_id=name,
            detail={"keys": sorted(f"{tag:08X}" for tag in identifier)},
        )
        record(tx, entry, now=utc_now())
    tls = dicom_client_context(chosen) if known.tls else None
    return callable_peer(known, calling_ae_title=chosen.ae_title, tls=tls)


def _row(match: DataSet, identifier: DataSet) -> dict[str, tuple[str, ...]]:
    """The values of what was asked for, by keyword, in the order in which it was asked."""
    return {
        dictionary.keyword_of(tag) or f"{tag:08X}": match.texts(tag)
        for tag in identifier
        if tag not in _NOT_SHOWN
    }
