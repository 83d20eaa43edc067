"""Large blobs looked at without taking their size in memory."""

import io
import mmap
from typing import BinaryIO, Final

from isocenter.infra.blobs.store import BlobStore

# A disk that fails under a mapping ends the process, where a read is only refused: what memory can
# well hold is read.
_READ_BYTES_MAX: Final = 64 << 20


def mapped(store: BlobStore, key: str) -> memoryview:
    """All bytes of the blob; of a large one that is a file, fetched page by page when looked at.

    A large blob of a store without files is read into memory. The view keeps what it needs alive.

    Raises:
        BlobMissing: there is no blob of this key.
    """
    if store.size_bytes(key) <= _READ_BYTES_MAX:
        return memoryview(store.read(key))
    with store.open(key) as file:
        descriptor = _descriptor(file)
        if descriptor is None:
            return memoryview(file.read())
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))


def _descriptor(file: BinaryIO) -> int | None:
    try:
        return file.fileno()
    except io.UnsupportedOperation:
        return None
