"""Files from folders, zip files and media: what is taken, what is refused, and going on after."""

import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom.data
import pytest
from typer.testing import CliRunner, Result

from isocenter.app.cli.commands import app
from isocenter.app.import_sources import sources
from isocenter.app.importing import (
    Importer,
    ImportLimits,
    ImportReport,
    StorageNearlyFull,
)
from isocenter.domain.access.model import Actor
from isocenter.infra import log
from isocenter.infra.blobs import StorageUnavailable, open_store
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from tests.fakes.blobs import ObservedStore
from tests.hospital import a_slice

CONSOLE = Actor.system("console:test")
MEDIUM = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"


def slice_of(index: int, *, name: str = "Phantom^Ada") -> bytes:
    return a_slice("A1", 1, index, name=name, study_uid="2.25.8")


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command sends log lines to the standard error of its own time."""
    yield
    log.configure()


class Door:
    """An archive into which files are imported."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.store = ObservedStore(open_store(f"file://{folder}"))
        self.limits = ImportLimits(object_bytes_max=1 << 30, free_bytes_min=0)
        self.refused: dict[str, str] = {}

    def take(self, *paths: Path) -> ImportReport:
        report = ImportReport()
        self.refused.clear()
        Importer(
            self.database,
            self.store,
            CONSOLE,
            utc_now,
            self.limits,
            on_progress=lambda so_far: None,
            on_refused=self._note,
        ).run(sources(paths), report)
        return report

    def _note(self, name: str, reason: str) -> None:
        self.refused[name] = reason

    def held(self) -> int:
        with self.database.read() as tx:
            return tx.value("select count(*) from archive.instance")


@pytest.fixture
def door(make_database: Callable[..., Database], tmp_path: Path) -> Door:
    return Door(make_database(), tmp_path / "objects")


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    folder = tmp_path / "disc"
    (folder / "deep" / "er").mkdir(parents=True)
    for index in (1, 2):
        (folder / f"{index}.dcm").write_bytes(slice_of(index))
    (folder / "deep" / "er" / "IM3").write_bytes(slice_of(3))
    (folder / "readme.txt").write_text("no image")
    (folder / "empty").write_bytes(b"")
    (folder / "cut.dcm").write_bytes(slice_of(4)[:300])
    (folder / ".hidden").write_bytes(slice_of(9))
    (folder / "link").symlink_to(folder / "1.dcm")
    os.mkfifo(folder / "pipe")
    return folder


def test_a_folder_is_taken_and_each_refusal_says_why(door: Door, disc: Path):
    report = door.take(disc)
    assert (report.stored, report.duplicates, report.refused_count) == (3, 0, 3)
    assert set(door.refused) == {str(disc / each) for each in ("readme.txt", "empty", "cut.dcm")}
    assert all(door.refused.values())
    assert len(list(door.store.keys())) == 3  # what was refused leaves nothing behind


def test_a_repeated_import_reads_and_writes_nothing(door: Door, disc: Path):
    door.take(disc)
    before = set(door.store.keys())
    door.store.counts.clear()
    report = door.take(disc)
    assert (report.stored, report.duplicates) == (0, 3)
    assert set(door.store.keys()) == before
    assert door.store.counts["writer"] == 1  # for the cut one, of which nothing is known


def test_an_import_that_ended_in_the_middle_is_repeated(door: Door, tmp_path: Path):
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(1, 121):
        (folder / f"{index:03d}").write_bytes(slice_of(index))

    def away(name: str) -> None:
        if name == "commit_all" and door.store.counts["commit_all"] == 2:
            raise StorageUnavailable("the cable was pulled")

    door.store.before = away
    with pytest.raises(StorageUnavailable):
        door.take(folder)
    assert door.held() == 50
    door.store.before = lambda name: None
    report = door.take(folder)
    assert (report.stored, report.duplicates) == (70, 50)
    assert len(list(door.store.keys())) == 120


def test_other_bytes_under_a_known_uid_are_kept_beside_and_found_again(door: Door, disc: Path):
    door.take(disc)
    other = disc.parent / "other.dcm"
    other.write_bytes(slice_of(1, name="Phantom^Eva"))
    assert door.take(other).conflicting == 1
    assert door.take(other).duplicates == 1  # known by now, beside the first


def test_a_zip_file_is_taken_without_being_unpacked(door: Door, tmp_path: Path):
    packed = tmp_path / "studies.zip"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x.dcm", slice_of(7))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.dcm", slice_of(1))
        archive.writestr("../../escape.dcm", slice_of(2))  # its name is never used
        archive.writestr("notes.txt", "no image")
        archive.writestr("inner.zip", inner.getvalue())
    report = door.take(packed)
    assert report.stored == 2
    assert set(door.refused) == {f"{packed}!notes.txt", f"{packed}!inner.zip"}
    assert not list(tmp_path.parent.glob("**/escape.dcm"))
    assert door.take(packed).duplicates == 2


def test_a_damaged_entry_harms_no_other(door: Door, tmp_path: Path):
    packed = tmp_path / "studies.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for index in (1, 2, 3):
            archive.writestr(f"{index}.dcm", slice_of(index))
    content = bytearray(packed.read_bytes())
    at = content.index(slice_of(2)[500:600]) + 50
    content[at] ^= 1
    packed.write_bytes(content)
    report = door.take(packed)
    assert report.stored == 2
    assert "CRC" in door.refused[f"{packed}!2.dcm"]
    packed.write_bytes(content[:-30])
    assert door.take(packed).refused_count == 1


def test_bombs_are_refused_before_they_are_read(door: Door, tmp_path: Path):
    # Says that it expands to three gigabytes.
    deep = tmp_path / "deep.zip"
    with zipfile.ZipFile(deep, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.dcm", slice_of(1) + bytes(1 << 20))
        archive.infolist()[0].file_size = 3 << 30
    door.take(deep)
    assert "expands more than" in door.refused[str(deep)]
    # One entry listed many times over: the directory is larger than what it lists.
    shared = tmp_path / "shared.zip"
    with zipfile.ZipFile(shared, "w") as archive:
        archive.writestr("1.dcm", slice_of(1))
        first = archive.infolist()[0]
        archive.filelist.extend([first] * 50)
    door.take(shared)
    assert "share bytes" in door.refused[str(shared)]
    # Larger than an object may be.
    door.limits = ImportLimits(object_bytes_max=4000, free_bytes_min=0)
    big = tmp_path / "big.dcm"
    big.write_bytes(slice_of(1))
    door.take(big)
    assert "object_size_max_bytes" in door.refused[str(big)]
    assert list(door.store.keys()) == []


def test_an_entry_that_lies_about_its_size_gives_no_more_than_it_says(door: Door, tmp_path: Path):
    packed = tmp_path / "liar.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.dcm", slice_of(1) + bytes(10_000_000))
        archive.infolist()[0].file_size = 2000
    report = door.take(packed)
    assert report.stored == 0
    assert list(door.store.keys()) == []


@pytest.mark.parametrize("lower_case", [False, True])
def test_the_files_that_a_dicomdir_names_are_taken(door: Door, tmp_path: Path, lower_case: bool):
    """The directory is another product's; file systems of copies change the case of names."""
    medium = tmp_path / "medium"
    shutil.copytree(MEDIUM, medium)
    if lower_case:
        for path in sorted(medium.rglob("*"), reverse=True):
            path.rename(path.with_name(path.name.lower()))
    directory = next(each for each in medium.iterdir() if each.name.upper() == "DICOMDIR")
    named = [
        record.ReferencedFileID
        for record in pydicom.dcmread(MEDIUM / "DICOMDIR").DirectoryRecordSequence
        if "ReferencedFileID" in record
    ]
    (medium / "not-on-the-list.dcm").write_bytes(slice_of(1))
    victim = directory.parent.joinpath(*named[0])
    (
        victim
        if not lower_case
        else Path(str(victim).replace(str(Path(*named[0])), str(Path(*named[0])).lower()))
    ).unlink()
    report = door.take(directory)
    assert report.stored == len(named) - 1 - report.duplicates
    assert report.stored > 25
    assert list(door.refused.values()) == ["is named in the DICOMDIR and not there"]
    with door.database.read() as tx:
        assert not tx.value(
            "select exists (select from archive.study where study_instance_uid = '2.25.8')"
        )


@pytest.mark.peer("dcmtk")
def test_a_medium_of_dcmtk_is_taken(door: Door, tmp_path: Path):
    if shutil.which("dcmmkdir") is None:
        pytest.skip("DCMTK is not installed")
    medium = tmp_path / "medium"
    (medium / "IMAGES").mkdir(parents=True)
    for index in (1, 2, 3):
        (medium / "IMAGES" / f"IM{index}").write_bytes(slice_of(index))
    subprocess.run(
        ["dcmmkdir", "+D", "DICOMDIR", "--recurse", "--invent", "+id", ".", "IMAGES"],
        cwd=medium, check=True, capture_output=True,
    )  # fmt: skip
    assert door.take(medium / "DICOMDIR").stored == 3
    whole = door.take(medium)
    assert (whole.duplicates, whole.skipped, whole.refused_count) == (3, 1, 0)


def test_an_import_stops_before_the_disk_is_full(door: Door, disc: Path):
    door.limits = ImportLimits(object_bytes_max=1 << 30, free_bytes_min=1 << 60)
    with pytest.raises(StorageNearlyFull, match="make room and repeat"):
        door.take(disc)
    assert door.held() == 0
    door.limits = ImportLimits(object_bytes_max=1 << 30, free_bytes_min=0)
    assert door.take(disc).stored == 3


def test_the_report_of_refusals_is_one_json_line_each(disc: Path, database: Database):
    settings = {
        "ISOCENTER_HOME": str(disc.parent / "home"),
        "ISOCENTER_DATABASE_URL": database.url,
        "ISOCENTER_STORAGE_URL": (disc.parent / "objects").as_uri(),
    }
    lines = disc.parent / "refused.jsonl"

    def isocenter(*words: str) -> Result:
        return CliRunner().invoke(app, ["import", *words], env=settings)

    done = isocenter(str(disc), "--report", str(lines), "--json")
    assert done.exit_code == 1, done.output
    assert json.loads(done.stdout)["stored"] == 3
    assert {Path(json.loads(each)["file"]).name for each in lines.read_text().splitlines()} == {
        "readme.txt", "empty", "cut.dcm",
    }  # fmt: skip
    assert isocenter().exit_code == 2
    assert isocenter(str(disc), "--from-storage").exit_code == 2
    settings["ISOCENTER_STORAGE_FREE_BYTES_MIN"] = str(1 << 59)
    full = isocenter(str(disc))
    assert full.exit_code == 7
    assert "0 stored" in full.output
