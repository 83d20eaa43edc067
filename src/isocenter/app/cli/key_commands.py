"""``isocenter keys``: the key-encryption key of the object stores, and changing it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, cast

import typer

from isocenter.app.cli import session
from isocenter.app.object_stores import (
    installation_key,
    key_of_file,
    new_key_of_kms,
    open_unencrypted,
)
from isocenter.app.settings import Settings
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import key_ring
from isocenter.infra.blobs.key_ring import KeyRing, NoteStore
from isocenter.infra.clock import utc_now

keys = typer.Typer(no_args_is_help=True, help="Keys of encrypted object stores.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


class KeyFileExists(IsocenterError):
    """There is a file already, which may hold a key that is needed."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@keys.command("new")
@session.command
def new(
    file: Annotated[Path, typer.Argument(help="File to be written.")],
    *,
    kms: Annotated[str, typer.Option(help="ARN of the key of AWS KMS that encrypts it.")] = "",
) -> None:
    """Write a fresh key-encryption key to a file that only its owner may read.

    Keep a copy of it elsewhere: without it the objects are lost. With --kms the file holds the key
    encrypted: whoever starts the product must be allowed to have AWS KMS decrypt it.

    Example: isocenter keys new /etc/isocenter/store.key
    """
    text = new_key_of_kms(session.settings(), kms) if kms else key_ring.new_key_text()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeyFileExists(f"{file} is there already") from error
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)


@keys.command("init")
@session.command
def init() -> None:
    """Give every object store that has none a key ring, before encryption is switched on.

    Example: ISOCENTER_STORE_KEY_FILE=store.key isocenter keys init
    """
    chosen = session.settings()
    key = installation_key(chosen)
    for name, store in _stores(chosen).items():
        if store.read_note(key_ring.NAME) is None:
            key_ring.create(store, key, now=utc_now())
            session.out.print(f"{name}: key ring made for the key {key.key_id}")
        else:
            key_ring.load(store).opened(key)
            session.out.print(f"{name}: has one, which the key {key.key_id} opens")


@keys.command("rotate")
@session.command
def rotate(
    new_key_file: Annotated[Path, typer.Argument(help="File with the new key.", exists=True)],
) -> None:
    """Have a new key-encryption key open every key ring too, and new objects use a fresh store key.

    No object is rewritten. Afterwards set store_key_file to the new file, restart, and run
    `isocenter keys retire`, after which the old key opens nothing.

    Example: isocenter keys rotate /etc/isocenter/store-2027.key
    """
    chosen = session.settings()
    old, new_key = installation_key(chosen), key_of_file(chosen, new_key_file)

    def changed(ring: KeyRing) -> KeyRing:
        return ring.with_new_key(old, now=utc_now()).also_for(new_key, old)

    _change(chosen, changed, f"is opened by the key {new_key.key_id} as well")


@keys.command("retire")
@session.command
def retire() -> None:
    """Have every key ring opened by the key that is set and by no other.

    Example: isocenter keys retire
    """
    chosen = session.settings()
    key = installation_key(chosen)
    _change(chosen, lambda ring: ring.only_for(key), f"is opened by the key {key.key_id} alone")


@keys.command("status")
@session.command
def status(*, as_json: AsJson = False) -> None:
    """Show which key-encryption keys open which store, by their ids.

    Example: isocenter keys status
    """
    chosen = session.settings()
    rows: list[dict[str, object]] = []
    for name, store in _stores(chosen).items():
        has_ring = store.read_note(key_ring.NAME) is not None
        ring = key_ring.load(store) if has_ring else KeyRing(())
        rows.append({
            "store": name,
            "store_keys": len(ring.keys),
            "newest": ring.keys[-1].made_at.isoformat() if ring.keys else "",
            "opened_by": ", ".join(sorted(ring.openers)) if ring.keys else "no key ring",
        })
    session.show(rows, as_json=as_json, empty="no store")


def _change(chosen: Settings, change: Callable[[KeyRing], KeyRing], told: str) -> None:
    """Change the rings of all stores: all are read and changed before the first is written."""
    changed = [
        (name, store, change(key_ring.load(store))) for name, store in _stores(chosen).items()
    ]
    for name, store, ring in changed:
        key_ring.save(store, ring)
        session.out.print(f"{name}: {told}")


def _stores(chosen: Settings) -> dict[str, NoteStore]:
    return {name: cast("NoteStore", store) for name, store in open_unencrypted(chosen).items()}
