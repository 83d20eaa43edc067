"""Keys of AWS KMS: signatures as curl makes them, and an installation that is opened by one."""

import shutil
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from isocenter.app.cli.commands import app
from isocenter.app.object_stores import open_blobs
from isocenter.app.settings_reader import read
from isocenter.infra import aws_kms, log
from isocenter.infra.aws_kms import (
    BadKeyName,
    Credentials,
    KeyService,
    KeyServiceRefused,
    KeyServiceUnavailable,
    SignedRequest,
    authorization,
    region_of,
)
from tests.component.infra.kms_server import ARN, Kms, running

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
REGION = "eu-central-1"
# The pair that Amazon's documents use in examples.
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.fixture
def kms() -> Iterator[Kms]:
    with running() as made:
        yield made


def service(kms: Kms, credentials: Credentials = CREDENTIALS) -> KeyService:
    return KeyService(REGION, credentials, endpoint=kms.url, clock=lambda: NOW)


def test_the_example_of_the_signature_document():
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "x-amz-date": "20150830T123600Z",
    }
    request = SignedRequest(
        "iam.amazonaws.com", headers, b"", "GET", "/", "Action=ListUsers&Version=2010-05-08"
    )
    made = authorization(
        request,
        CREDENTIALS,
        region="us-east-1",
        service="iam",
        now=datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
    )
    assert made.endswith(
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("session_token", ["", "a/long+token=="])
def test_curl_signs_the_same_requests_in_the_same_way(kms: Kms, session_token: str):
    who = Credentials(CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key, session_token)
    service(kms, who).decrypt(ARN, service(kms, who).new_key(ARN))
    for headers, body in list(kms.asked):
        signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        given = [
            part
            for name in signed.split(";")
            if name != "host"
            for part in ("-H", f"{name}: {headers[name]}")
        ]
        user = f"{who.access_key_id}:{who.secret_access_key}"
        scheme = f"aws:amz:{REGION}:kms"
        command = ["curl", "-s", "--aws-sigv4", scheme, "-u", user, *given]
        subprocess.run(
            [*command, "--data-binary", "@-", f"{kms.url}/"], input=body, check=True, timeout=20
        )
        assert kms.asked[-1][0]["authorization"] == headers["authorization"]
        assert kms.asked[-1][1] == body


def test_a_key_comes_back_only_for_its_own_name_and_purpose(
    kms: Kms, monkeypatch: pytest.MonkeyPatch
):
    encrypted = service(kms).new_key(ARN)
    key = service(kms).decrypt(ARN, encrypted)
    assert len(key) == 32
    assert key not in encrypted
    with pytest.raises(KeyServiceRefused, match="InvalidCiphertextException"):
        service(kms).decrypt(ARN.replace("1234abcd", "9999abcd"), encrypted)
    monkeypatch.setattr(aws_kms, "_CONTEXT", {"purpose": "another"})
    with pytest.raises(KeyServiceRefused, match="InvalidCiphertextException"):
        service(kms).decrypt(ARN, encrypted)


def test_what_the_service_does_not_do_is_told_apart(kms: Kms):
    kms.refusal = (400, "AccessDeniedException")
    with pytest.raises(KeyServiceRefused, match="AccessDeniedException"):
        service(kms).new_key(ARN)
    kms.refusal = (500, "KMSInternalException")
    with pytest.raises(KeyServiceUnavailable):
        service(kms).new_key(ARN)
    nobody = KeyService(REGION, CREDENTIALS, endpoint="http://127.0.0.1:9", clock=lambda: NOW)
    with pytest.raises(KeyServiceUnavailable, match="does not answer"):
        nobody.new_key(ARN)
    assert CREDENTIALS.secret_access_key not in repr(CREDENTIALS)


def test_names_of_keys():
    assert region_of(ARN) == REGION
    assert region_of("arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/pacs") == "us-gov-west-1"
    for other in ("", "1234abcd", "arn:aws:s3:::bucket", ARN + "?x=1", ARN.replace("eu", "e u")):
        with pytest.raises(BadKeyName):
            region_of(other)


class Console:
    """Commands with the settings of one installation whose key KMS has."""

    def __init__(self, folder: Path, kms: Kms) -> None:
        self.folder = folder
        self.settings = {
            "ISOCENTER_HOME": str(folder / "home"),
            "ISOCENTER_STORAGE_URL": (folder / "main").as_uri(),
            "ISOCENTER_STORE_ENCRYPTION": "on",
            "ISOCENTER_STORE_KEY_FILE": str(folder / "kms.key"),
            "ISOCENTER_STORE_KMS_ENDPOINT": kms.url,
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key_id,
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_access_key,
        }

    def __call__(self, *words: str, **changed: str) -> Result:
        return CliRunner().invoke(app, list(words), env=self.settings | changed)


def test_an_installation_is_opened_by_kms_and_can_leave_it(
    kms: Kms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    console = Console(tmp_path, kms)
    file = tmp_path / "kms.key"
    made = console("keys", "new", str(file), "--kms", ARN)
    assert made.exit_code == 0, made.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith(f"aws-kms {ARN}\n")
    assert console("keys", "init").exit_code == 0
    for name, value in console.settings.items():
        monkeypatch.setenv(name, value)
    blob = open_blobs(read(console.settings).settings).put(b"an image")
    lying = next(path for path in (tmp_path / "main").rglob(blob.key.rpartition("/")[2]))
    assert b"an image" not in lying.read_bytes()
    assert open_blobs(read(console.settings).settings).read(blob.key) == b"an image"
    kms.refusal = (400, "AccessDeniedException")
    with pytest.raises(KeyServiceRefused):
        open_blobs(read(console.settings).settings)
    kms.refusal = None
    nobody = console("keys", "status", AWS_ACCESS_KEY_ID="")
    assert nobody.exit_code == 0  # shows ids, opens nothing
    assert console("keys", "init", AWS_ACCESS_KEY_ID="").exit_code != 0
    # The same credentials from where programs of AWS look next.
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = {CREDENTIALS.access_key_id}\n"
        f"aws_secret_access_key = {CREDENTIALS.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    assert open_blobs(read(console.settings).settings).read(blob.key) == b"an image"
    # Changing to a key in a file, as between any two keys.
    plain = tmp_path / "plain.key"
    assert console("keys", "new", str(plain)).exit_code == 0
    assert console("keys", "rotate", str(plain)).exit_code == 0
    monkeypatch.setenv("ISOCENTER_STORE_KEY_FILE", str(plain))
    changed = console.settings | {"ISOCENTER_STORE_KEY_FILE": str(plain)}
    assert console("keys", "retire", ISOCENTER_STORE_KEY_FILE=str(plain)).exit_code == 0
    asked = len(kms.asked)
    assert open_blobs(read(changed).settings).read(blob.key) == b"an image"
    assert len(kms.asked) == asked
    log.configure()
