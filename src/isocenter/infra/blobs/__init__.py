"""Immutable bytes under names that the store makes, in a directory or in an S3 bucket.

``open_store`` gives the store that a URL names; everything after that goes through ``BlobStore``.
What the bytes mean and who refers to them is not known here: a sweeper elsewhere removes what
nobody does.
"""

from isocenter.infra.blobs.mapping import mapped
from isocenter.infra.blobs.opening import UnknownStorageUrl, open_store
from isocenter.infra.blobs.store import (
    BlobMissing,
    BlobStore,
    BlobWriter,
    StorageFull,
    StorageUnavailable,
    StoredBlob,
)

__all__ = [
    "BlobMissing",
    "BlobStore",
    "BlobWriter",
    "StorageFull",
    "StorageUnavailable",
    "StoredBlob",
    "UnknownStorageUrl",
    "mapped",
    "open_store",
]
