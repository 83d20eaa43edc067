"""Real files of many makers: those in pydicom's wheel, and the shared test data when present."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom.data
import pytest

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import part10

_WHEEL = Path(pydicom.data.__file__).parent
_SHARED = Path(__file__).resolve().parents[4] / "shared" / "testdata"


def shared_test_data() -> Path | None:
    """The folder of shared test data, None when it is not there."""
    folder = Path(os.getenv("ISOCENTER_TESTDATA") or _SHARED) / "dicom"
    return folder if folder.is_dir() else None


def dicom_files() -> Iterator[Path]:
    """Every file that begins like DICOM; of a long series of one kind only some."""
    folders = [_WHEEL, *filter(None, [shared_test_data()])]
    for folder in folders:
        for number, path in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
            if ("mr_epi" in str(path) or "jpegls" in path.parent.name) and number % 10:
                continue
            try:
                with path.open("rb") as file:
                    part10.parse_file_meta(file.read(4096))
            except RemoteProtocolError:
                continue
            yield path


FILES = list(dicom_files())


@pytest.fixture(autouse=True)
def _quiet_pydicom() -> Iterator[None]:
    """The files break rules on purpose; pydicom's warnings about them are no findings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def shared_dicom() -> Path:
    folder = shared_test_data()
    if folder is None:
        pytest.skip("the shared test data is not here")
    return folder
