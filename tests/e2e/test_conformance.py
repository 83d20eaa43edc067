"""The conformance bench against a running installation, and against one that only says yes."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from isocenter.app.conformance import playing
from isocenter.app.conformance.verdicts import Called, Installation, Verdict
from isocenter.infra.clock import utc_now
from tests.e2e.hl7_peers import ResultReceiver
from tests.e2e.product import Product, free_port

NAME = "CONFORMANCE"


@pytest.fixture(scope="module")
def bench(product: Product) -> Iterator[list[str]]:
    """The installation knows the bench; what a command line needs to play against it."""
    results_port = free_port()
    scanner = {"name": f"{NAME}_CT", "ae_title": NAME, "host": "127.0.0.1", "port": 104}
    scanner["allow"] = ["store", "find", "worklist", "mpps"]
    ehr = {"name": NAME, "application": NAME, "host": "127.0.0.1", "port": results_port}
    ehr |= {"send": ["oru"], "receive": ["adt", "orm", "siu"]}
    person = {"user_name": "bench", "display_name": "Bench", "password": "correct horse 9"}
    person["roles"] = ["radiologist", "front_desk"]
    for path, body in (
        ("/api/peers/dicom", scanner),
        ("/api/peers/hl7", ehr),
        ("/api/users", person),
    ):
        status, answer = product.api("POST", path, body, user="root")
        assert status == 201, answer
    asked = {"user_name": "bench", "ttl_s": 3600}
    _, token = product.api("POST", "/api/tokens", asked, user="root")
    at = {"--url": product.url, "--dicom-port": product.dicom_port, "--hl7-port": product.hl7_port}
    at |= {"--token": token["token"], "--as": f"{NAME}@127.0.0.1:{results_port}"}
    yield [str(part) for option in at.items() for part in option]
    product.cli("peer", "remove", NAME)


def played(product: Product, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and each case by its name."""
    done = subprocess.run(
        [sys.executable, "-m", "isocenter", "conformance", *arguments, "--json"],
        env=product.environment,
        cwd=product.folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert sum(told["counts"].values()) == len(told["cases"])
    return done.returncode, {each["case"]: each for each in told["cases"]}


@pytest.mark.parametrize(("profile", "least"), [("swf", 36), ("pir", 10)])
def test_every_case_of_the_profile_passes(
    product: Product, bench: list[str], profile: str, least: int
):
    code, cases = played(product, profile, *bench)
    assert {name: c["reason"] for name, c in cases.items() if c["verdict"] != "pass"} == {}
    assert (code, len(cases) >= least) == (0, True)


def test_an_installation_that_accepts_everything_and_does_nothing_fails(
    product: Product, bench: list[str]
):
    said = dict(zip(bench[::2], bench[1::2], strict=True))
    yes_man = ResultReceiver()  # acknowledges whatever comes
    installation = Installation(
        called=Called("127.0.0.1", product.dicom_port, "ISOCENTER", NAME),
        hl7_port=yes_man.port,
        url=product.url,
        token=said["--token"],
        application=NAME,
        receiver="ISOCENTER",
        results=("127.0.0.1", free_port()),
        timeout_s=0.3,
    )
    cases = {each.case: each for each in playing.results("RAD-2", installation, utc_now)}
    yes_man.close()
    assert len(cases) >= 5
    assert {each.verdict for each in cases.values()} == {Verdict.FAILED}
    assert "on the worklist" in cases["RAD-2 CA"].reason
    assert "was answered AA" in cases["RAD-2 ORC-1"].reason


def test_what_is_missing_is_said_and_is_no_failure(product: Product, bench: list[str]):
    code, cases = played(product, "pir", *bench, "--as", "STRANGER", "--token", "none")
    assert code == 3
    assert {each["verdict"] for each in cases.values()} == {"not possible"}
    reason = cases["PIR 1"]["reason"]
    assert "the token may not use /api/me (401)" in reason
    assert "isocenter peer add dicom STRANGER" in reason
