"""Reads everything that is stored for attributes that were added: one series after the other.

What is due is kept by ``domain.archive``; here is the reading, which no transaction waits for. It
may end at any moment and goes on where it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import Series
from isocenter.domain.archive.model_attributes import ReindexError
from isocenter.domain.archive.service import attributes
from isocenter.domain.peers import service as peers
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dicomweb.metadata import (
    instance_metadata,
    is_unreadable,
    series_metadata,
)
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database
from isocenter.standards.dicom.json_model import JsonObject

_SERIES_AT_ONCE: Final = 50
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})


@dataclass(frozen=True, slots=True)
class Reindexer:
    """Does the re-indexing that is due.

    Attributes:
        stopped: whether the process is to end.
    """

    db: Database
    blobs: SeveralStores
    actor: Actor
    clock: Clock
    stopped: Callable[[], bool]

    def run(self) -> int:
        """How many series were read: all that are due, unless the process is to end.

        Raises:
            IsocenterError: a store is away; what was read is read.
        """
        done = 0
        while not self.stopped():
            with self.db.transaction() as tx:
                portion = attributes.next_portion(
                    tx, self.actor, limit=_SERIES_AT_ONCE, now=self.clock()
                )
            if portion is None:
                break
            reindex, series = portion
            try:
                done += self._read_all(reindex.reindex_key, series)
            finally:
                with self.db.transaction() as tx:
                    attributes.release_portion(tx, self.actor, reindex.reindex_key)
        return done

    def _read_all(self, reindex_key: int, portion: Sequence[Series]) -> int:
        for number, series in enumerate(portion):
            if self.stopped():
                return number
            errors = self._read(series)
            with self.db.transaction() as tx:
                goes_on = attributes.record_reindexed(
                    tx, self.actor, reindex_key, series, errors=errors, now=self.clock()
                )
            if not goes_on:
                return number + 1
        return len(portion)

    def _read(self, series: Series) -> list[ReindexError]:
        """Index the series; gives what could not be."""
        models, errors = self._models(series)
        errors += [
            _error(series, _uid(each), "its header cannot be read")
            for each in models
            if is_unreadable(each)
        ]
        with self.db.transaction() as tx:
            errors += attributes.index_series(
                tx, self.actor, series.study_instance_uid, series.series_instance_uid, models
            )
        return errors

    def _models(self, series: Series) -> tuple[list[JsonObject], list[ReindexError]]:
        viewer = Viewer.of(self.actor, Action.STUDY_READ)
        try:
            content = series_metadata(self.db, self.blobs, viewer, series)
            return msgspec.json.decode(content), []
        except IsocenterError as error:
            if error.kind in _AWAY:
                raise
        # One object that is missing or damaged must not cost the others their place in the index.
        with self.db.read() as tx:
            locations = archive.locate(
                tx, viewer, series.study_instance_uid, series.series_instance_uid
            )
            readings = peers.text_readings(tx)
        models: list[JsonObject] = []
        errors: list[ReindexError] = []
        for each in locations:
            try:
                models.append(instance_metadata(self.blobs, each, readings))
            except IsocenterError as error:
                if error.kind in _AWAY:
                    raise
                errors.append(_error(series, each.sop_instance_uid, error.message))
        return models, errors


def _uid(model: JsonObject) -> str:
    values = model.get("00080018", {}).get("Value", [""])
    return str(values[0])


def _error(series: Series, sop_instance_uid: str, detail: str) -> ReindexError:
    return ReindexError(
        study_instance_uid=series.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        sop_instance_uid=sop_instance_uid,
        attribute="",
        detail=detail,
    )
