"""Answers from the HTJ2K renditions that are kept beside the images: nothing is encoded for them.

Standard: PS3.5 A.4.11
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from starlette.requests import Request

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.model_renditions import Rendition
from isocenter.domain.archive.service import renditions
from isocenter.domain.archive.service.description import unpack_frame_ranges
from isocenter.gateways.dicomweb.context import context_of, viewer_of
from isocenter.gateways.dicomweb.errors import NothingThere
from isocenter.gateways.dicomweb.pieces import BlobRange, Piece
from isocenter.gateways.dicomweb.representation import Representation
from isocenter.standards.dicom import uids

_FILES: Final = frozenset({uids.HTJ2K_LOSSLESS_RPCL})
# A frame with RPCL progression is one of the transfer syntax that leaves the progression open, too.
_FRAMES: Final = _FILES | {uids.HTJ2K_LOSSLESS}

Chosen = Sequence[tuple[InstanceLocation, Representation]]


async def rendition_of_frames(
    request: Request, location: InstanceLocation, transfer_syntax_uid: str
) -> Rendition | None:
    """The rendition whose frames are those of this transfer syntax; None where there is none."""
    if transfer_syntax_uid not in _FRAMES or transfer_syntax_uid == location.transfer_syntax_uid:
        return None
    found = await _found(request, [location.sop_instance_uid])
    return found.get(location.sop_instance_uid)


async def with_renditions(request: Request, chosen: Chosen) -> Chosen:
    """The same representations, made of renditions where there are some."""
    wanted = [
        location.sop_instance_uid
        for location, how in chosen
        if not how.is_stored and how.transfer_syntax_uid in _FILES
    ]
    if not wanted:
        return chosen
    found = await _found(request, wanted)
    return [
        (location, replace(how, rendition=found.get(location.sop_instance_uid)))
        if not how.is_stored and how.transfer_syntax_uid in _FILES
        else (location, how)
        for location, how in chosen
    ]


async def _found(request: Request, sop_instance_uids: Sequence[str]) -> Mapping[str, Rendition]:
    return await context_of(request).pool.read(
        renditions.renditions_of, viewer_of(request), sop_instance_uids
    )


def frame_pieces(rendition: Rendition, numbers: Sequence[int]) -> list[Piece]:
    """The frames, in the order of ``numbers`` (from 1); raises ``NothingThere``."""
    ranges = unpack_frame_ranges(rendition.frame_ranges)
    if not all(0 < number <= len(ranges) for number in numbers):
        raise NothingThere(f"the instance has {len(ranges)} frames")
    return [BlobRange(rendition.blob_key, *ranges[number - 1]) for number in numbers]
