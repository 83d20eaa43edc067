"""What a deployment may choose about the pages and the API.

The settings themselves are read by ``app``; this is only the shape in which they arrive.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path

from isocenter.domain.monitoring.model import EXPECTATIONS, Expectations
from isocenter.domain.orders.model import AccessionFormat


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Choices of one deployment, the same in every ``web`` process."""

    site_name: str = "Isocenter"
    time_zone: tzinfo = UTC
    secure_cookies: bool = False  # true when browsers reach us under TLS
    session_cookie: str = "isocenter_session"
    public_url: str = ""  # empty: as the browser addresses us
    frame_origins: frozenset[str] = frozenset()  # whose pages may show ours in a frame
    launch_keys: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    trusted_authorities: frozenset[str] = frozenset()  # issuers of patient ids; empty: all
    page_rows: int = 50
    expectations: Expectations = field(default_factory=lambda: EXPECTATIONS)
    accession_format: AccessionFormat = field(default_factory=AccessionFormat)
    worklist_silence_s: float = 8 * 3_600.0  # images of a station that did not ask for so long
    reconciliation_overdue_s: float = 4 * 3_600.0  # a study that needs a person for longer alarms
    dicomweb_path: str = "/dicomweb"
    second_viewer_home: Path | None = None  # below which a second viewer may be installed
    feed_poll_s: float = 0.4
    feed_heartbeat_s: float = 15.0
    feed_lifetime_s: float = 600.0  # then the browser reconnects and is authenticated anew
    feed_subscribers_max: int = 500
    storage_free_bytes_min: int = 2_000_000_000  # below this new images are refused
    roles: tuple[str, ...] = field(default=("web", "dimse", "hl7", "worker"))
