"""The object stores, reading back, and what is damaged."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from isocenter.domain.archive.model_integrity import Fault, ObjectKind
from isocenter.domain.archive.service import integrity
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.storage import storage_view, stores_of
from isocenter.gateways.web.web import InWeb, SignedIn, SystemViewer

router = APIRouter(prefix="/api/storage", tags=["storage"])


class StoreAnswer(Shape):
    """One object store. ``free_bytes`` is null where there is no limit."""

    name: str
    free_bytes: int | None
    low: bool
    current: bool
    error: str


class PassAnswer(Shape):
    """One reading back of all objects."""

    started_at: datetime
    finished_at: datetime | None
    objects_total: int
    objects: int
    bytes: int
    faults: int
    repaired: int
    trouble: str | None


class FindingAnswer(Shape):
    """Something that was not as it must be; open while ``settled_at`` is null."""

    finding_key: int
    kind: ObjectKind
    blob_key: str
    fault: Fault
    detail: str
    sop_instance_uid: str
    study_instance_uid: str
    found_at: datetime
    settled_at: datetime | None
    settled_by: str | None
    settlement: str | None


class RenditionsAnswer(Shape):
    """HTJ2K renditions; ``impossible`` counts images that get none, ``series_due`` what waits."""

    renditions: int
    size_bytes: int
    impossible: int
    series_due: int


class PacksAnswer(Shape):
    """Packs: blobs that small objects of a series share; ``series_due`` is what waits."""

    packs: int
    members: int
    size_bytes: int
    series_due: int


class StorageAnswer(Shape):
    """Everything about the storage; ``orphans`` are objects that the archive does not know."""

    stores: list[StoreAnswer]
    current: PassAnswer | None
    last: PassAnswer | None
    open_faults: dict[Fault, int]
    findings: list[FindingAnswer]
    orphans: int
    renditions: RenditionsAnswer
    packs: PacksAnswer


class GiveUpRequest(BaseModel):
    """Why it cannot be mended."""

    reason: str = Field(min_length=1, max_length=500)


@router.get("", summary="Object stores, reading back, and what is damaged")
async def storage(web: InWeb, viewer: SystemViewer) -> StorageAnswer:
    """Stores, the pass under way, the last one, and the newest findings."""
    view = await web.pool.read(storage_view, viewer)
    stores = await web.pool.call(
        stores_of, web.blobs, free_bytes_min=web.options.storage_free_bytes_min
    )
    state = view.integrity
    return StorageAnswer(
        stores=[StoreAnswer.model_validate(each) for each in stores],
        current=PassAnswer.model_validate(state.current) if state.current else None,
        last=PassAnswer.model_validate(state.last) if state.last else None,
        open_faults=state.open_faults,
        findings=[FindingAnswer.model_validate(each) for each in state.findings],
        orphans=view.orphans,
        renditions=RenditionsAnswer.model_validate(view.renditions),
        packs=PacksAnswer.model_validate(view.packs),
    )


@router.post("/findings/{finding_key}/give-up", status_code=204, summary="Settle a finding")
async def give_up(web: InWeb, actor: SignedIn, finding_key: int, body: GiveUpRequest) -> None:
    """The finding alarms no more; a later pass that still finds the fault opens a new one."""
    await web.pool.run(
        integrity.give_up_object, actor, finding_key, reason=body.reason, now=web.clock()
    )
