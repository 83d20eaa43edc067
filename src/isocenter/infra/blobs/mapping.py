"""Large blobs looked at without taking their size in memory."""

import io
import mmap
from typing import BinaryIO

from isocenter.infra.blobs.store import BlobStore


def mapped(store: BlobStore, key: str) -> memoryview:
    """All bytes of the blob, fetched page by page as they are looked at where it is a file.

    Of a store without files the blob is read into memory. The view keeps what it needs alive.

    Raises:
        BlobMissing: there is no blob of this key.
    """
    with store.open(key) as file:
        descriptor = _descriptor(file)
        if descriptor is None:
            return memoryview(file.read())
        try:
            return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        except (ValueError, OSError):  # an empty file, or a file system that cannot map
            return memoryview(file.read())


def _descriptor(file: BinaryIO) -> int | None:
    try:
        return file.fileno()
    except io.UnsupportedOperation:
        return None
