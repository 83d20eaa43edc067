"""The limits and choices of the HTTP door, as ``app.settings`` hands them over."""

from dataclasses import dataclass, field

from isocenter.gateways.web.options import WebOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """One deployment's HTTP door.

    Attributes:
        tls: browsers reach us under TLS, directly or through a proxy.
        body_bytes_max: of a request to the pages and the API.
        upload_bytes_max: of a request to DICOMweb, which carries images.
        body_idle_s: how long a sender may pause in the middle of a body.
        requests_max: requests in progress at one time in one process.
        trusted_proxies: addresses whose X-Forwarded-For is believed.
        allowed_hosts: names under which we may be addressed; empty means any.
        cross_origins: origins whose pages may use DICOMweb, the API and FHIR, with a token.
        frame_ancestors: origins whose pages may show ours in a frame.
        actor_kept_s: how long a checked credential counts for reading without being checked again.
        storage_free_bytes_min: below this the process calls itself not ready.
    """

    web: WebOptions = field(default_factory=WebOptions)
    tls: bool = False
    body_bytes_max: int = 2_000_000
    upload_bytes_max: int = 8_000_000_000
    body_idle_s: float = 60.0
    requests_max: int = 1000
    trusted_proxies: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()
    cross_origins: frozenset[str] = frozenset()
    frame_ancestors: frozenset[str] = frozenset()
    actor_kept_s: float = 3.0
    storage_free_bytes_min: int = 2_000_000_000
