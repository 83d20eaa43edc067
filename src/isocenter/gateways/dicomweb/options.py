"""What a deployment may choose about DICOMweb. The settings are read by ``app``."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class DicomwebOptions:
    """Choices and limits of one deployment, the same in every ``web`` process.

    Attributes:
        public_url: what clients put before our path where the Host of their requests does not tell
            (behind a proxy that ends TLS; from clients that leave out the port); else empty.
        search_results_max: most rows of one search answer; more are announced by a Warning header.
        empty_search_status: of a search in JSON without results: 200 with an empty array, which
            every client can read, or 204 as PS3.18 Table 10.6.3-1 has it.
        object_bytes_max: largest object that STOW-RS takes.
        metadata_bytes_max: largest metadata part that STOW-RS takes.
        kept_bodies_bytes_max: room in memory for finished metadata of series asked for last.
        objects_max: most objects in one STOW-RS request.
        free_bytes_min: objects are refused while the object store has less room.
        rendered_pixels_max: most pixels of an image that is rendered, and of its picture.
        resampled_bytes_max: largest volume that is resampled.
        transcoded_bytes_max: files larger than this are sent as they are stored only.
        workitem_bytes_max: largest body of a request of the Worklist Service.
        event_channels_max: most event channels that one process keeps open.
        event_channel_lifetime_s: after this a channel is closed, and its subscriber opens another.
        event_poll_s: how often events for the channels are looked for.
        time_zone: of moments in workitems that do not say theirs.
    """

    public_url: str = ""
    search_results_max: int = 1000
    empty_search_status: HTTPStatus = HTTPStatus.OK
    object_bytes_max: int = 4 << 30
    metadata_bytes_max: int = 64 << 20
    kept_bodies_bytes_max: int = 32 << 20
    objects_max: int = 10_000
    free_bytes_min: int = 0
    rendered_pixels_max: int = 64 << 20
    resampled_bytes_max: int = 1 << 30
    transcoded_bytes_max: int = 512 << 20
    workitem_bytes_max: int = 8 << 20
    event_channels_max: int = 200
    event_channel_lifetime_s: float = 43_200.0
    event_poll_s: float = 0.25
    time_zone: tzinfo = UTC
