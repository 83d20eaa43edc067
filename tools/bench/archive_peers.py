"""The archives that are compared, each started in its own empty folder and stopped again."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.bench.receivers import (
    ENVIRONMENT,
    free_port,
    program,
    running,
    wait_for_port,
    wait_until_listening,
)

CALLER: Final = "BENCH"
_PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True, slots=True)
class Archive:
    """A running archive.

    Attributes:
        web_root: path of the DICOMweb service root; "" without one.
        headers: of each HTTP request.
    """

    name: str
    ae_title: str
    dicom_port: int
    http_port: int
    web_root: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@contextmanager
def orthanc(folder: Path, move_port: int) -> Generator[Archive]:
    """Run Orthanc with its own defaults (SQLite index, files on disk) and its DICOMweb plugin."""
    folder.mkdir(parents=True)
    port, http_port = free_port(), free_port()
    settings = {
        "Name": "bench",
        "StorageDirectory": str(folder / "objects"),
        "IndexDirectory": str(folder / "index"),
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"bench": [CALLER, "127.0.0.1", move_port]},
        "HttpPort": http_port,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "KeepAlive": True,
        "Plugins": [str(_PLUGIN)] if _PLUGIN.exists() else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    with running([program("Orthanc"), str(configuration)], folder=folder, port=port):
        wait_until_listening(http_port)
        root = "/dicom-web" if _PLUGIN.exists() else ""
        yield Archive("Orthanc", "ORTHANC", port, http_port, root)


@contextmanager
def isocenter(folder: Path, move_port: int, *, new: bool = True) -> Generator[Archive]:
    """Run our own product as a user would (`serve`), with one DICOM peer and one token.

    ``new`` is False where ``folder`` holds it already.
    """
    folder.mkdir(parents=True, exist_ok=not new)
    port, http_port = free_port(), free_port()
    environment = {
        "ISOCENTER_HOME": str(folder / "home"),
        "ISOCENTER_DICOM_PORT": str(port),
        "ISOCENTER_HL7_PORT": str(free_port()),
        "ISOCENTER_HTTP_PORT": str(http_port),
    }
    called = ["--ae-title", CALLER, "--host", "127.0.0.1", "--port", str(move_port)]
    peer = ["peer", "add", "dicom", CALLER, *called, "--allow", "store,find,move,worklist"]
    user = ["user", "add", "bench", "--role", "radiologist"]
    prepare = [
        ["migrate"],
        *([peer, user] if new else []),
        ["token", "create", "--user", "bench"],
    ]
    command = [sys.executable, "-m", "isocenter"]
    said = [
        subprocess.run(
            [*command, *arguments],
            env=ENVIRONMENT | environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for arguments in prepare
    ]
    headers = {"Authorization": f"Bearer {said[-1].strip()}"}
    with running([*command, "serve"], folder=folder, port=http_port, **environment):
        wait_until_listening(port)
        yield Archive("Isocenter", "ISOCENTER", port, http_port, "/dicomweb", headers)


@contextmanager
def destination(folder: Path, port: int) -> Generator[Path]:
    """Run DCMTK's storescp as the destination of C-MOVE; the folder that it writes objects to."""
    out = folder / "objects"
    out.mkdir(parents=True)
    command = [program("storescp"), "--max-pdu", "131072", "-od", str(out), "-aet", CALLER]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--fork", str(port)], stdout=log, stderr=log, env=ENVIRONMENT
        )
        try:
            wait_for_port(port, process, folder / "log")
            yield out
        finally:
            process.terminate()
            process.wait(timeout=30)
