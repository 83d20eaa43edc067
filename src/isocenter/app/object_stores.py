"""The object stores of an installation, as its settings name them."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from isocenter.app.settings import Settings
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import BlobStore, open_store
from isocenter.infra.blobs.several import MAIN, SeveralStores

if TYPE_CHECKING:
    from isocenter.infra.blobs.encrypted import SealableStore
    from isocenter.infra.blobs.key_ring import KeyEncryptionKey


class KeyFileUnreadable(IsocenterError):
    """The file with the key-encryption key cannot be read."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


def open_blobs(settings: Settings) -> SeveralStores:
    """The object stores that the settings name, as one; nothing is connected to yet.

    Raises:
        UnknownStorageUrl: a URL names no store that we know.
        UnknownStore: a name that no store may have.
        BadKey: the key-encryption key is none.
        KeyFileUnreadable: its file cannot be read.
    """
    stores = open_unencrypted(settings)
    if settings.store_encryption != "off":
        # Ciphers take memory and time that a process without encryption need not spend.
        from isocenter.infra.blobs.encrypted import EncryptedStore  # noqa: PLC0415

        key = installation_key(settings)
        allowed = settings.store_encryption != "required"
        stores = {
            name: EncryptedStore(cast("SealableStore", store), key, plain_allowed=allowed)
            for name, store in stores.items()
        }
    return SeveralStores(stores, current=settings.store_current)


def open_unencrypted(settings: Settings) -> dict[str, BlobStore]:
    """The object stores by name, with their bytes as they lie there."""
    stores: dict[str, BlobStore] = {MAIN: open_store(settings.effective_storage_url)}
    for name, url in settings.stores.items():
        stores[name] = open_store(url)
    return stores


def installation_key(settings: Settings) -> "KeyEncryptionKey":
    """The key-encryption key that the settings give. Raises ``BadKey``, ``KeyFileUnreadable``."""
    from isocenter.infra.blobs.key_ring import key_encryption_key  # noqa: PLC0415 - as above

    return key_encryption_key(settings.store_key or _content(settings.store_key_file))


def key_of_file(file: Path) -> "KeyEncryptionKey":
    """The key-encryption key in a file. Raises ``BadKey``, ``KeyFileUnreadable``."""
    from isocenter.infra.blobs.key_ring import key_encryption_key  # noqa: PLC0415 - as above

    return key_encryption_key(_content(file))


def _content(file: Path | None) -> str:
    if file is None:
        raise KeyFileUnreadable("neither store_key_file nor store_key is set")
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise KeyFileUnreadable(f"the key file {file} cannot be read: {reason}") from error
