"""From a storage URL to the store it names."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs.filesystem import FileStore
from isocenter.infra.blobs.store import BlobStore


class UnknownStorageUrl(IsocenterError):
    """The URL names no store that we know."""

    kind: ClassVar[Kind] = Kind.INCORRECT


def open_store(
    url: str,
    *,
    credentials: Mapping[str, str] = MappingProxyType({}),
    spool: Path | None = None,
) -> BlobStore:
    """The store that ``url`` names.

    ``file:///directory`` is made when missing. ``s3://bucket/prefix?endpoint=…&region=…`` takes
    ``credentials`` with the keys ``access_key_id``, ``secret_access_key`` and ``session_token``;
    without them, what the machine offers (environment, instance role) is used. ``spool`` is the
    directory for blobs on their way to S3. Raises ``UnknownStorageUrl``.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        # Its client library takes memory and time that a file store's process need not spend.
        from isocenter.infra.blobs.s3 import S3Store  # noqa: PLC0415

        return S3Store(
            parts.netloc,
            unquote(parts.path).strip("/"),
            options=dict(parse_qsl(parts.query)),
            credentials=credentials,
            spool=spool,
        )
    raise UnknownStorageUrl(
        "a storage URL is file:///directory or s3://bucket/prefix?endpoint=…&region=…"
    )
