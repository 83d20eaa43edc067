"""The command line as scripts use it: what it prints where, and its exit codes.

A process takes two seconds to start: what only a process shows (its streams, its exit code, what it
imports, that it ends) is seen in one, all else is the same function called in this one.
"""

import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pydicom.data
import pytest
from typer.testing import CliRunner

from isocenter.app.cli.commands import app
from isocenter.infra import log
from isocenter.infra.db import Database

Done = subprocess.CompletedProcess[str]


class CommandLine:
    """Runs `isocenter` in a folder of its own, on a database of its own."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.environment = {
            "ISOCENTER_HOME": str(folder / "home"),
            "ISOCENTER_DATABASE_URL": database_url,
            "COLUMNS": "200",
        }

    def __call__(self, *arguments: str, stdin: str = "", **settings: str) -> Done:
        try:
            done = CliRunner().invoke(
                app, list(arguments), input=stdin, env=self.environment | settings
            )
        finally:
            log.configure("warning")  # not to the runner's own stream any more
        if not isinstance(done.exception, SystemExit | None):
            raise done.exception
        return Done(arguments, done.exit_code, done.stdout, done.stderr)

    def process(self, *arguments: str, stdin: str = "", **settings: str) -> Done:
        """The same in a process of its own."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("ISOCENTER_")}  # noqa: TID251 - handed to the product
        return subprocess.run(
            [sys.executable, "-m", "isocenter", *arguments],
            env=own | self.environment | settings,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def json(self, *arguments: str):
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def isocenter(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    for name in [name for name in os.environ if name.startswith("ISOCENTER_")]:  # noqa: TID251 - not this run's own
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path, database.url)


def test_a_token_is_all_that_token_create_prints(isocenter: CommandLine):
    added = isocenter("user", "add", "reader", "--role", "radiologist")
    assert added.returncode == 0, added.stderr
    assert len(added.stdout.split()) == 1  # the password that was made
    token = isocenter.process("token", "create", "--user", "reader", "--scope", "exam.read")
    assert token.returncode == 0, token.stderr
    assert token.stderr == ""
    assert token.stdout.count("\n") == 1
    assert len(token.stdout.strip()) >= 32
    listed = isocenter.json("token", "list")
    assert [(each["user_name"], each["scope"]) for each in listed] == [("reader", "exam.read")]
    assert token.stdout.strip() not in json.dumps(listed)
    assert isocenter("token", "revoke", str(listed[0]["token_key"])).returncode == 0
    assert isocenter.json("token", "list")[0]["revoked_at"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("peer", "remove", "NOBODY"), 4),
        (("user", "add", "reader", "--role", "radiologist", "--password-stdin"), 2),
        (("token", "create", "--user", "nobody"), 4),
        (("peer", "add", "dicom", "CT", "--ae-title", "A" * 17, "--host", "h", "--port", "1"), 2),
        (("peer", "add", "hl7", "E", "--host", "h", "--send", "oru"), 2),
        (("run", "nothing"), 2),
        (("nonsense",), 2),
    ],
)
def test_a_failure_is_one_line_and_an_exit_code(
    isocenter: CommandLine, arguments: tuple[str, ...], code: int
):
    done = isocenter(*arguments, stdin="short\n")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_a_process_fails_with_one_line_and_its_exit_code(isocenter: CommandLine):
    done = isocenter.process("peer", "remove", "NOBODY")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)


def test_the_same_user_twice_contradicts(isocenter: CommandLine):
    words = ("user", "add", "reader", "--role", "radiologist")
    assert isocenter(*words).returncode == 0
    assert isocenter(*words).returncode == 5


def test_a_database_that_is_away_is_not_reachable(isocenter: CommandLine):
    done = isocenter("peer", "list", ISOCENTER_DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


def test_a_home_that_cannot_be_written_is_said_in_one_line(isocenter: CommandLine):
    (isocenter.folder / "file").write_text("")
    home = str(isocenter.folder / "file" / "home")
    done = isocenter.process("serve", ISOCENTER_HOME=home)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert home in done.stderr.replace("\n", "")


def test_a_port_in_use_is_said_in_one_line(isocenter: CommandLine):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = isocenter.process("serve", ISOCENTER_HTTP_PORT=port)
    assert done.returncode == 7
    assert port in done.stderr


def test_a_wrong_setting_is_named_with_its_origin(isocenter: CommandLine):
    done = isocenter("migrate", ISOCENTER_HL7_PORT="many")
    assert done.returncode == 2
    assert "hl7_port" in done.stderr
    assert "ISOCENTER_HL7_PORT" in done.stderr


def test_peers_and_routes_can_be_exported_and_imported(isocenter: CommandLine):
    where = ("--host", "127.0.0.1", "--port", "11119")
    ct = ("peer", "add", "dicom", "CT1", "--ae-title", "CT_ONE", *where)
    assert isocenter(*ct, "--allow", "store,worklist").returncode == 0
    ehr = ("peer", "add", "hl7", "EHR", *where, "--send", "oru", "--receive", "adt,orm")
    assert isocenter(*ehr).returncode == 0
    rule = ("route", "add", "ct", "--to", "CT1", "--if", "arriving=20:00-07:00")
    assert isocenter(*rule).returncode == 0
    odd = isocenter("peer", "quirks", "CT1", "--set", "names-begin,assume-latin-2")
    assert odd.stdout.count("names-begin") == 1
    exported = isocenter("config", "export")
    document = isocenter.folder / "peers.json"
    document.write_text(exported.stdout)
    before = isocenter.json("peer", "list")
    assert {each["name"] for each in before} == {"CT1", "EHR"}
    assert before[0]["quirks"] == "assume-latin-2,names-begin"
    assert isocenter("peer", "remove", "CT1").returncode == 0
    assert isocenter("config", "import", str(document)).returncode == 0
    assert isocenter.json("peer", "list") == before
    assert isocenter("config", "export").stdout == exported.stdout
    document.write_text('{"format": "isocenter-config-1", "dicom_peers": [{"name": "X"}]}')
    assert isocenter("config", "import", str(document)).returncode == 2
    assert isocenter.json("peer", "list") == before


def test_a_peer_that_does_not_answer_is_not_reachable(isocenter: CommandLine):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = ("peer", "add", "dicom", "CT1", "--ae-title", "CT1", "--host", "127.0.0.1")
    assert isocenter(*words, "--port", port).returncode == 0
    assert isocenter("peer", "echo", "CT1").returncode == 3


def test_files_are_imported_verified_and_damage_is_found(isocenter: CommandLine):
    folder = isocenter.folder / "disc"
    folder.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm"):
        source = Path(str(pydicom.data.get_testdata_file(name, download=False)))
        (folder / name).write_bytes(source.read_bytes())
    (folder / "readme.txt").write_text("no image")
    done = isocenter.process("import", str(folder), "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["stored"], report["duplicates"]) == (2, 0)
    assert [Path(each["file"]).name for each in report["refused"]] == ["readme.txt"]
    again = json.loads(isocenter("import", str(folder / "CT_small.dcm"), "--json").stdout)
    assert (again["stored"], again["duplicates"]) == (0, 1)
    sound = isocenter.json("verify")
    assert (sound["checked"], sound["damaged"]) == (2, [])
    blob = max(
        (isocenter.folder / "home/objects").rglob("*"), key=lambda f: f.stat().st_size * f.is_file()
    )
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\x7f")
    hurt = isocenter("verify", "--repair", "--json")
    assert hurt.returncode == 1
    (damaged,) = json.loads(hurt.stdout)["damaged"]
    assert damaged["reason"].startswith("damaged: ")
    assert not damaged["repaired"]  # there is no other store


def test_doctor_shows_values_origins_and_what_is_reachable(isocenter: CommandLine):
    report = isocenter.json("doctor")
    settings = {each["setting"]: each for each in report["settings"]}
    assert settings["home"]["from"] == "environment ISOCENTER_HOME"
    assert settings["database_url"]["value"] == "set"
    assert isocenter.environment["ISOCENTER_DATABASE_URL"] not in json.dumps(report)
    assert {each["what"]: each["state"] for each in report["checks"]}["database"] == "ok"


@pytest.mark.parametrize(
    "command", ["serve", "run", "demo", "migrate", "doctor", "import", "verify"]
)
def test_every_command_has_help_with_an_example(isocenter: CommandLine, command: str):
    done = isocenter(command, "--help")
    assert done.returncode == 0
    assert "Example: " in done.stdout


@pytest.mark.parametrize("role", ["dimse", "hl7"])
def test_the_small_roles_import_nothing_heavy(role: str):
    script = f"import sys, isocenter.app.roles.{role}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    heavy = {
        "pydantic",
        "fastapi",
        "starlette",
        "pydicom",
        "numpy",
        "imagecodecs",
        "typer",
        "obstore",
    }
    assert not loaded & heavy


def test_the_version_is_told_and_a_command_loads_no_other(isocenter: CommandLine):
    assert isocenter("--version").stdout == f"isocenter {version('isocenter')}\n"
    script = (
        "import sys, isocenter.app.cli.commands as c; c.main(sys.argv[1:]); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "token", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "isocenter.app.cli.people" in loaded
    assert not loaded & {"isocenter.app.subscriptions", "isocenter.app.cli.peer_commands"}


def test_routes_are_added_listed_paused_and_removed(isocenter: CommandLine):
    described = ("--ae-title", "READING", "--host", "192.0.2.9", "--port", "104")
    assert isocenter("peer", "add", "dicom", "READING", *described).returncode == 0
    added = isocenter(
        "route", "add", "night", "--to", "READING", "--if", "modality=CT,MR", "--if",
        "arriving=20:00-07:00", "--compress", "htj2k", "--send", "images,commitment",
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert isocenter("route", "pause", "READING", "--reason", "moving").returncode == 0
    (route,) = isocenter.json("route", "list")
    assert (route["name"], route["to"], route["paused"]) == ("night", "READING", True)
    refused = isocenter("route", "add", "x", "--to", "READING", "--if", "colour=red")
    assert (refused.returncode, "body-part, arriving, not colour" in refused.stderr) == (2, True)


def test_storage_pack_queues_what_is_complete_where_a_store_packs(isocenter: CommandLine):
    queued = isocenter("storage", "pack", ISOCENTER_PACK_STORES="main")
    assert queued.stdout == "0 series queued\n"
