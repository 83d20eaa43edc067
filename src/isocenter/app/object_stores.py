"""The object stores of an installation, as its settings name them."""

from isocenter.app.settings import Settings
from isocenter.infra.blobs import BlobStore, open_store
from isocenter.infra.blobs.several import MAIN, SeveralStores


def open_blobs(settings: Settings) -> SeveralStores:
    """The object stores that the settings name, as one; nothing is connected to yet.

    Raises:
        UnknownStorageUrl: a URL names no store that we know.
        UnknownStore: a name that no store may have.
    """
    stores: dict[str, BlobStore] = {MAIN: open_store(settings.effective_storage_url)}
    for name, url in settings.stores.items():
        stores[name] = open_store(url)
    return SeveralStores(stores, current=settings.store_current)
