"""The object stores of an installation, as its settings name them."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, cast

from isocenter.app.settings import Settings
from isocenter.app.settings_reader import aws_environment
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import BlobStore, open_store
from isocenter.infra.blobs.several import MAIN, SeveralStores

if TYPE_CHECKING:
    from isocenter.infra.aws_kms import KeyService
    from isocenter.infra.blobs.encrypted import SealableStore
    from isocenter.infra.blobs.key_ring import KeyEncryptionKey


# How a key file begins whose key only AWS KMS can open.
_OF_KMS: Final = "aws-kms"


class CredentialsMissing(IsocenterError):
    """AWS KMS is to be asked, and nobody says in whose name."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


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
        KeyServiceRefused, KeyServiceUnavailable: a key of AWS KMS is not to be had.
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
    """The key-encryption key that the settings give.

    Raises:
        BadKey, KeyFileUnreadable
        KeyServiceRefused, KeyServiceUnavailable: a key of AWS KMS is not to be had.
        CredentialsMissing, CredentialsUnavailable: nobody says in whose name to ask for it.
    """
    return _key(settings, settings.store_key or _content(settings.store_key_file))


def key_of_file(settings: Settings, file: Path) -> "KeyEncryptionKey":
    """The key-encryption key in a file. Raises as ``installation_key``."""
    return _key(settings, _content(file))


def new_key_of_kms(settings: Settings, key_arn: str) -> str:
    """A fresh key-encryption key as a file has it, encrypted by a key of AWS KMS.

    Raises:
        BadKeyName, KeyServiceRefused, KeyServiceUnavailable
    """
    encrypted = _key_service(settings, key_arn).new_key(key_arn)
    return f"{_OF_KMS} {key_arn}\n{base64.b64encode(encrypted).decode()}\n"


def _key(settings: Settings, written: str) -> "KeyEncryptionKey":
    from isocenter.infra.blobs.key_ring import BadKey, key_encryption_key  # noqa: PLC0415 - as above

    if not written.startswith(_OF_KMS):
        return key_encryption_key(written)
    try:
        _, key_arn, text = written.split()
        encrypted = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadKey("the key of AWS KMS is not as `isocenter keys new --kms` wrote it") from error
    return key_encryption_key(_key_service(settings, key_arn).decrypt(key_arn, encrypted).hex())


def _key_service(settings: Settings, key_arn: str) -> "KeyService":
    from isocenter.infra.aws_credentials import credentials_of, sources_of  # noqa: PLC0415 - as above
    from isocenter.infra.aws_kms import KeyService, region_of  # noqa: PLC0415 - as above

    region = region_of(key_arn)
    credentials = credentials_of(sources_of(aws_environment()))
    if credentials is None:
        raise CredentialsMissing(
            "no AWS credentials: neither in the environment (AWS_ACCESS_KEY_ID,"
            " AWS_SECRET_ACCESS_KEY) nor in the credentials file, of the container or the instance"
        )
    return KeyService(region, credentials, endpoint=settings.store_kms_endpoint or "")


def _content(file: Path | None) -> str:
    if file is None:
        raise KeyFileUnreadable("neither store_key_file nor store_key is set")
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise KeyFileUnreadable(f"the key file {file} cannot be read: {reason}") from error
