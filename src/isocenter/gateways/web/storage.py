"""What the page and the API say about the object stores of this installation."""

from dataclasses import dataclass
from typing import Final

from isocenter.domain.access.model import Viewer
from isocenter.domain.archive.model_integrity import IntegrityState
from isocenter.domain.archive.model_packs import PackTotals
from isocenter.domain.archive.model_renditions import RenditionTotals
from isocenter.domain.archive.service import integrity, packing, renditions, sweeping
from isocenter.errors import IsocenterError
from isocenter.infra.blobs import BlobStore
from isocenter.infra.blobs.several import MAIN, SeveralStores
from isocenter.infra.db import Tx

FINDINGS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class StoreView:
    """One object store.

    Attributes:
        free_bytes: room left; None where there is no limit, or the store is away.
        low: new images are refused for want of room.
        current: new images go there.
        error: why it is away; empty when it is not.
    """

    name: str
    free_bytes: int | None
    low: bool
    current: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class StorageView:
    """Stores, reading back, and what was found.

    Attributes:
        orphans: objects in the stores that the archive does not know.
        renditions: what is kept beside the images, and how much room it takes.
        packs: in which small objects share a blob.
    """

    integrity: IntegrityState
    orphans: int
    renditions: RenditionTotals
    packs: PackTotals


def stores_of(blobs: BlobStore, *, free_bytes_min: int) -> list[StoreView]:
    """The stores, each looked at. Blocks on file or network."""
    several = blobs if isinstance(blobs, SeveralStores) else SeveralStores({MAIN: blobs})
    return [_looked_at(several, name, free_bytes_min) for name in several.names]


def _looked_at(several: SeveralStores, name: str, free_bytes_min: int) -> StoreView:
    current = name == several.current
    try:
        free = several.named(name).free_bytes()
    except (IsocenterError, OSError) as error:
        return StoreView(name, None, low=False, current=current, error=str(error))
    low = free is not None and free < free_bytes_min
    return StoreView(name, free, low=low and current, current=current)


def storage_view(tx: Tx, viewer: Viewer) -> StorageView:
    """What the database knows."""
    return StorageView(
        integrity.integrity_state(tx, viewer, limit=FINDINGS_MAX),
        sweeping.count_orphans(tx, viewer.actor),
        renditions.rendition_totals(tx, viewer),
        packing.pack_totals(tx, viewer),
    )
