"""Encryption as an administrator switches it on: keys made, changed and retired by commands."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from isocenter.app.cli.commands import app
from isocenter.app.object_stores import open_blobs
from isocenter.app.settings_reader import SettingsError, read
from isocenter.infra import log
from isocenter.infra.blobs.key_ring import KeyRingMissing, WrongKey
from isocenter.infra.blobs.several import SeveralStores


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command sends log lines to the standard error of its own time."""
    yield
    log.configure()


class Console:
    """Commands with the settings of one installation of two stores."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = {
            "ISOCENTER_HOME": str(folder / "home"),
            "ISOCENTER_STORAGE_URL": (folder / "main").as_uri(),
            "ISOCENTER_STORES": f"second={(folder / 'second').as_uri()}",
            "ISOCENTER_STORE_KEY_FILE": str(folder / "first.key"),
        }

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(app, list(words), env=self.settings)

    def blobs(self, **changed: str) -> SeveralStores:
        encrypted = {"ISOCENTER_STORE_ENCRYPTION": "on"}
        return open_blobs(read({**self.settings, **encrypted, **changed}).settings)


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path)


def test_keys_are_made_changed_and_retired_without_rewriting_objects(console: Console):
    assert console("keys", "new", str(console.folder / "first.key")).exit_code == 0
    assert stat.S_IMODE((console.folder / "first.key").stat().st_mode) == 0o600
    assert console("keys", "new", str(console.folder / "first.key")).exit_code == 5
    with pytest.raises(KeyRingMissing):
        console.blobs().put(b"too early")
    assert console("keys", "init").exit_code == 0
    assert "has one" in console("keys", "init").output
    blob = console.blobs().put(b"an image")
    writer = console.blobs().writer_in("second")
    writer.write(b"another")
    other = writer.commit()
    files = {each: each.read_bytes() for each in console.folder.glob("*/20*/*/*/*/*")}
    assert len(files) == 2
    assert not any(b"image" in each for each in files.values())

    assert console("keys", "new", str(console.folder / "second.key")).exit_code == 0
    assert console("keys", "rotate", str(console.folder / "second.key")).exit_code == 0
    assert console.blobs().read(blob.key) == b"an image"  # the old key goes on
    console.settings["ISOCENTER_STORE_KEY_FILE"] = str(console.folder / "second.key")
    assert console.blobs().read(other.key) == b"another"
    status = json.loads(console("keys", "status", "--json").output)
    assert {each["store"]: each["store_keys"] for each in status} == {"main": 2, "second": 2}
    assert all(len(each["opened_by"].split(", ")) == 2 for each in status)
    assert console("keys", "retire").exit_code == 0
    assert console.blobs().read(blob.key) == b"an image"
    old = str(console.folder / "first.key")
    with pytest.raises(WrongKey):
        console.blobs(ISOCENTER_STORE_KEY_FILE=old).read(blob.key)
    assert files == {each: each.read_bytes() for each in files}
    console.settings["ISOCENTER_STORE_KEY_FILE"] = old
    refused = console("keys", "rotate", str(console.folder / "second.key"))
    assert refused.exit_code == 3


def test_encryption_without_a_key_is_a_contradiction(console: Console):
    del console.settings["ISOCENTER_STORE_KEY_FILE"]
    with pytest.raises(SettingsError, match="store_key_file or store_key"):
        console.blobs()
    assert console("keys", "init").exit_code == 3
    console.settings["ISOCENTER_STORE_KEY_FILE"] = str(console.folder / "nowhere.key")
    assert console("keys", "init").exit_code == 3


def test_a_store_that_is_named_and_not_there_is_a_contradiction(console: Console):
    for setting in ("ISOCENTER_STORE_CURRENT", "ISOCENTER_STORE_COPY"):
        with pytest.raises(SettingsError, match="elsewhere"):
            read({**console.settings, setting: "elsewhere"})
    with pytest.raises(SettingsError, match="stores"):
        read({**console.settings, "ISOCENTER_STORES": "second"})
