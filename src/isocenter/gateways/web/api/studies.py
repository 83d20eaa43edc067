"""What the reading page needs beyond DICOMweb: addresses of a series' frames, and renditions."""

from collections.abc import Sequence

from fastapi import APIRouter

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.service import location as archive
from isocenter.domain.archive.service import renditions as archive_renditions
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.web import InWeb, StudyViewer
from isocenter.standards.dicom import uids

router = APIRouter(prefix="/api/studies", tags=["studies"])


class FramesAnswer(Shape):
    """Addresses of the rendered frames, in the order of the instance numbers."""

    frames: list[str]


class RenditionsAnswer(Shape):
    """Series of which every image is kept in this transfer syntax as well: by UID."""

    transfer_syntax_uid: str
    series: list[str]


@router.get("/{study_instance_uid}/renditions", summary="Series that are kept in HTJ2K as well")
async def renditions(web: InWeb, viewer: StudyViewer, study_instance_uid: str) -> RenditionsAnswer:
    """Frames of these series come in HTJ2K without encoding, and so by byte ranges.

    Standard: PS3.5 A.4.11
    """
    found = await web.pool.read(archive_renditions.rendered_series, viewer, study_instance_uid)
    return RenditionsAnswer(transfer_syntax_uid=uids.HTJ2K_LOSSLESS_RPCL, series=list(found))


@router.get(
    "/{study_instance_uid}/series/{series_instance_uid}/frames",
    summary="Addresses of a series' rendered frames",
)
async def frames(
    web: InWeb, viewer: StudyViewer, study_instance_uid: str, series_instance_uid: str
) -> FramesAnswer:
    """The series' frames; none for objects without pixels."""
    found = await web.pool.read(archive.locate, viewer, study_instance_uid, series_instance_uid)
    return FramesAnswer(frames=frame_addresses(found, web.options.dicomweb_path))


def frame_addresses(instances: Sequence[InstanceLocation], dicomweb_path: str) -> list[str]:
    """The address of each frame of those instances that have pixels.

    Standard: PS3.18 10.4.1.1.3 (rendered)
    """
    addresses: list[str] = []
    for each in instances:
        if each.pixel_data_offset is None:
            continue
        path = (
            f"{dicomweb_path}/studies/{each.study_instance_uid}"
            f"/series/{each.series_instance_uid}/instances/{each.sop_instance_uid}"
        )
        count = each.number_of_frames or 1
        if count == 1:
            addresses.append(f"{path}/rendered")
        else:
            addresses.extend(f"{path}/frames/{number}/rendered" for number in range(1, count + 1))
    return addresses
