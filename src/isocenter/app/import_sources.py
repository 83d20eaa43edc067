"""Files to be imported, wherever they lie: in folders, in zip files, behind a DICOMDIR.

Nothing is unpacked to a disk: an entry of a zip file is a stream like any other. A zip file cannot
make us write more than it may: entries that share bytes, that expand too far or that say less than
they hold are refused, and zip files within zip files are not opened.
"""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Final, cast

from isocenter.errors import IsocenterError, Kind
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.directory import NotADirectoryFile, referenced_file_ids

_ZIP_ENTRIES_MAX: Final = 1_000_000
# Blank images compress a thousandfold, a whole disc of images never does so.
_ZIP_EXPANSION_MAX: Final = 200
_ZIP_EXPANSION_FREE_BYTES: Final = 1 << 30
_DIRECTORY_BYTES_MAX: Final = 256 << 20
_ZIP_ERRORS: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


class Unreadable(IsocenterError):
    """The file cannot be read."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True)
class Source:
    """One file to be imported.

    Attributes:
        name: the path; within a zip file the path of that, an exclamation mark and the entry.
        open: gives a stream from the beginning; may be called more than once.
    """

    name: str
    size_bytes: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class RefusedSource:
    """A file that is not even looked into, and why."""

    name: str
    reason: str


def sources(paths: Iterable[Path]) -> Iterator[Source | RefusedSource]:
    """The files under the paths, sorted within each folder."""
    for path in paths:
        for file in files_under(path):
            yield from _of_file(file, is_named=file == path)


def files_under(path: Path) -> Iterator[Path]:
    """The path itself when it is a file, else all regular files below it; links are not followed.

    Hidden files are left out.
    """
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        folders[:] = [each for each in folders if not each.startswith(".")]
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and file.is_file() and not file.is_symlink():
                yield file


def _of_file(file: Path, *, is_named: bool) -> Iterator[Source | RefusedSource]:
    """The file, its entries when it is a zip file, or what it names when it is a named DICOMDIR.

    Below a folder a DICOMDIR's files are found anyway.
    """
    if is_named and file.name.upper() == "DICOMDIR":
        yield from _of_directory(file)
        return
    try:
        size_bytes = file.stat().st_size
        is_zip = zipfile.is_zipfile(file)
    except OSError as error:
        yield RefusedSource(str(file), error.strerror or "cannot be read")
        return
    if is_zip and not _is_dicom(file):
        yield from _of_zip(file, size_bytes)
    else:
        yield Source(str(file), size_bytes, lambda: file.open("rb"))


def _is_dicom(file: Path) -> bool:
    """Whether a file that ends like a zip file begins like an image all the same."""
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _of_directory(file: Path) -> Iterator[Source | RefusedSource]:
    try:
        with file.open("rb") as stream:
            data = stream.read(_DIRECTORY_BYTES_MAX)
        names = referenced_file_ids(data)
    except NotADirectoryFile:  # only called so
        yield Source(str(file), file.stat().st_size, lambda: file.open("rb"))
        return
    except OSError as error:
        yield RefusedSource(str(file), error.strerror or "cannot be read")
        return
    except RemoteProtocolError as error:
        yield RefusedSource(str(file), f"is a damaged DICOMDIR: {error}")
        return
    for components in names:
        if not components:
            yield RefusedSource(str(file), "names a file outside of the medium")
            continue
        found = _on_medium(file.parent, components)
        if found is None:
            reason = "is named in the DICOMDIR and not there"
            yield RefusedSource(str(file.parent.joinpath(*components)), reason)
        else:
            yield from _of_file(found, is_named=False)


def _on_medium(folder: Path, components: Sequence[str]) -> Path | None:
    """The file, also where a copy of the medium has its names in another case."""
    for component in components:
        exact = folder / component
        if not exact.exists():
            wanted = component.casefold()
            try:
                entries = sorted(folder.iterdir())
            except OSError:
                return None
            alike = (each for each in entries if each.name.casefold() == wanted)
            exact = next(alike, exact)
        folder = exact
    return folder if folder.is_file() else None


def _of_zip(file: Path, size_bytes: int) -> Iterator[Source | RefusedSource]:
    try:
        archive = zipfile.ZipFile(file)
    except (*_ZIP_ERRORS, OSError) as error:
        yield RefusedSource(str(file), f"is a damaged zip file: {error}")
        return
    # Its entries are opened after this generator has gone on: the last of them closes it.
    entries = [each for each in archive.infolist() if not each.is_dir()]
    refusal = _why_not_opened(entries, size_bytes)
    if refusal:
        archive.close()
        yield RefusedSource(str(file), refusal)
        return
    for entry in entries:
        name = f"{file}!{entry.filename}"
        if entry.flag_bits & 1:
            yield RefusedSource(name, "is encrypted within the zip file")
        elif not Path(entry.filename).name.startswith("."):
            yield Source(name, entry.file_size, _opener(archive, entry))


def _why_not_opened(entries: Sequence[zipfile.ZipInfo], size_bytes: int) -> str:
    """Why the whole zip file is refused; empty when it is not."""
    if len(entries) > _ZIP_ENTRIES_MAX:
        return f"has more than {_ZIP_ENTRIES_MAX} entries"
    if sum(each.compress_size for each in entries) > size_bytes:
        return "is a zip file whose entries share bytes"
    expanded = sum(each.file_size for each in entries)
    if expanded > max(_ZIP_EXPANSION_MAX * size_bytes, _ZIP_EXPANSION_FREE_BYTES):
        return f"is a zip file that expands more than {_ZIP_EXPANSION_MAX} times"
    return ""


def _opener(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    def open_entry() -> BinaryIO:
        try:
            return cast("BinaryIO", _Entry(archive.open(entry)))
        except (*_ZIP_ERRORS, OSError) as error:
            raise Unreadable(f"cannot be read from the zip file: {error}") from error

    return open_entry


class _Entry:
    """A stream of a zip entry; the errors of a damaged one are ours."""

    def __init__(self, inner: "zipfile.ZipExtFile | object") -> None:
        self._inner = cast("BinaryIO", inner)

    def __enter__(self) -> "_Entry":
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes. ``zipfile`` gives no more than the entry says that it holds."""
        try:
            return self._inner.read(size)
        except _ZIP_ERRORS as error:
            raise Unreadable(f"cannot be read from the zip file: {error}") from error
