"""Makes the archive's tables again from the objects alone: ``isocenter import --from-storage``.

Nothing is copied and nothing removed: every blob keeps its key. Packs are taken apart where they
lie, and their members come in the order in which they came once. Each batch is one transaction, and
what is named already is passed over, so that a run that was ended in any way is simply repeated.
Splits are done again at the end, when all that they split is there.
It also takes in what a database that is older than its objects does not know.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby, islice
from typing import Any, Final

from isocenter.domain.access.model import Actor
from isocenter.domain.archive.model import Outcome, ReceivedInstance
from isocenter.domain.archive.model_split_records import SplitRecord
from isocenter.domain.archive.service import rebuilding, split_records
from isocenter.domain.peers import service as peers
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs.packs import Member, PackDamaged, read_index
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.blobs.store import is_pack
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database
from isocenter.standards.dicom.text_reading import TextReading

_BATCH: Final = 64
_READERS: Final = 4
_DAY_CHARACTERS: Final = len("YYYY/MM/DD")
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})


@dataclass
class RebuildReport:
    """What was found in the stores.

    Attributes:
        seen: all blobs, and of packs their members.
        known: those that the archive named before.
        derived: those that were made from images, as the metadata of a series.
        duplicates: objects whose bytes the archive has already, in this store or as a copy.
        splits: of studies, that were written down beside the objects and hold again.
        placed: studies all of whose objects lie in a store of their own: they belong there.
        refused: what could not be taken in: key and reason.
    """

    seen: int = 0
    known: int = 0
    derived: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicting: int = 0
    splits: int = 0
    placed: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def as_row(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "seen": self.seen,
            "known": self.known,
            "derived": self.derived,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "conflicting": self.conflicting,
            "splits": self.splits,
            "placed": self.placed,
            "refused": [{"blob_key": key, "reason": reason} for key, reason in self.refused],
        }


@dataclass(frozen=True, slots=True)
class _Found:
    """A blob, or a member of a pack.

    Attributes:
        identifier: under which it came once.
    """

    key: str
    identifier: str
    is_packed: bool = False


@dataclass(frozen=True, slots=True)
class Rebuilder:
    """Takes in what lies in the stores.

    Attributes:
        last_store: read after all others: the one that holds copies.
        on_progress: told after each batch.
        on_refused: told of each blob that could not be taken in, and why.
    """

    db: Database
    blobs: SeveralStores
    actor: Actor
    clock: Clock
    last_store: str
    on_progress: Callable[[RebuildReport], None]
    on_refused: Callable[[str, str], None]
    _records: dict[tuple[str, str, datetime], tuple[SplitRecord, str]] = field(
        default_factory=dict[tuple[str, str, datetime], tuple[SplitRecord, str]], init=False
    )

    def rebuild(self) -> RebuildReport:
        """Take in everything that the archive does not name.

        Raises:
            IsocenterError: a store or the database is away. Repeat it when they are back.
        """
        report = RebuildReport()
        with ThreadPoolExecutor(_READERS, thread_name_prefix="rebuild") as readers:
            found = self._in_order()
            while portion := list(islice(found, _BATCH)):
                self._take_in(portion, readers, report)
                self.on_progress(report)
        self._split_again(report)
        usual = [self.blobs.current, self.last_store]
        with self.db.transaction() as tx:
            report.placed = rebuilding.restore_placements(tx, self.actor, usual, now=self.clock())
        return report

    def _in_order(self) -> Iterator[_Found]:
        """Store by store and day by day in the order in which the objects came.

        The first to come gives a study its values, and is the one that others conflict with. What
        lies in a pack and, not yet swept, beside it is taken from the pack.
        """
        for name in sorted(self.blobs.names, key=lambda each: each == self.last_store):
            keys = self.blobs.keys_of(name)
            for _, of_day in groupby(keys, lambda key: _inner(key)[:_DAY_CHARACTERS]):
                found = [each for key in of_day for each in self._found(key)]
                yield from sorted(found, key=lambda each: (each.identifier, not each.is_packed))

    def _found(self, key: str) -> list[_Found]:
        identifier = key.rpartition("/")[2]
        members = self._members(key) if is_pack(key) else ()
        if not members:
            return [_Found(key, identifier)]
        with self.db.transaction() as tx:
            rebuilding.note_pack(tx, self.actor, key, members, now=self.clock())
        return [_Found(each.key(key), each.identifier, is_packed=True) for each in members]

    def _members(self, key: str) -> Sequence[Member]:
        """The members of the pack; none when it cannot be read: it is refused as it is."""
        try:
            return read_index(lambda start, length: self.blobs.read(key, start, length))
        except PackDamaged:
            return ()
        except IsocenterError as error:
            if error.kind in _AWAY:
                raise
            return ()
        except OSError:
            return ()

    def _take_in(
        self, portion: Sequence[_Found], readers: ThreadPoolExecutor, report: RebuildReport
    ) -> None:
        with self.db.read() as tx:
            readings = peers.text_readings(tx)
            keys = [each.key for each in portion]
            unnamed = set(rebuilding.unnamed(tx, self.actor, keys))
        wanted = [each for each in portion if each.key in unnamed]
        report.seen += len(portion)
        report.known += len(portion) - len(wanted)
        batch: list[ReceivedInstance] = []
        for each, described in zip(
            wanted, readers.map(partial(self._described, readings), wanted), strict=True
        ):
            if isinstance(described, ReceivedInstance):
                batch.append(described)
            elif isinstance(described, SplitRecord):
                self._keep(described, each.key)
            elif described is None:
                report.derived += 1
            else:
                report.refused.append((each.key, described))
                self.on_refused(each.key, described)
        for part in _parts(batch):
            self._admit(part, report)

    def _described(
        self, readings: Mapping[str, TextReading], found: _Found
    ) -> ReceivedInstance | SplitRecord | str | None:
        """What it is; a text when it cannot be taken in; None for what is made from images."""
        try:
            described = rebuilding.describe_stored(
                self.blobs, found.key, readings, identifier=found.identifier
            )
            return described or split_records.read_record(self.blobs, found.key)
        except IsocenterError as error:
            if error.kind in _AWAY:
                raise
            return error.message
        except OSError as error:
            return error.strerror or "cannot be read"

    def _keep(self, record: SplitRecord, key: str) -> None:
        """Of several records of one split the last one counts."""
        before = self._records.get(record.identity)
        if before is None or before[0].recorded_at < record.recorded_at:
            self._records[record.identity] = (record, key)

    def _split_again(self, report: RebuildReport) -> None:
        for record, key in sorted(self._records.values(), key=lambda each: each[0].split_at):
            try:
                with self.db.transaction() as tx:
                    report.splits += split_records.restore_split(
                        tx, self.actor, self.blobs, record, key, now=self.clock()
                    )
            except IsocenterError as error:
                if error.kind in _AWAY:
                    raise
                report.refused.append((key, error.message))
                self.on_refused(key, error.message)

    def _admit(self, batch: Sequence[ReceivedInstance], report: RebuildReport) -> None:
        with self.db.transaction() as tx:
            admissions = rebuilding.readmit(tx, self.actor, self.blobs, batch, now=self.clock())
        for received, admission in zip(batch, admissions, strict=True):
            match admission.outcome:
                case Outcome.STORED:
                    report.stored += 1
                case Outcome.DUPLICATE:
                    report.duplicates += 1
                case Outcome.CONFLICTING:
                    report.conflicting += 1
                case Outcome.REFUSED:
                    report.refused.append((received.blob_key, admission.reason))
                    self.on_refused(received.blob_key, admission.reason)


def _inner(key: str) -> str:
    return key.rpartition(":")[2]


def _parts(
    batch: Sequence[ReceivedInstance],
) -> Iterator[Sequence[ReceivedInstance]]:
    """The batch in parts: a note is one of its own, for it means what was there when it came."""
    for is_note, members in groupby(batch, lambda each: each.note is not None):
        if is_note:
            yield from ([each] for each in members)
        else:
            yield list(members)
