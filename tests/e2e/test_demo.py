"""`isocenter demo` as a visitor starts it: a complete ledger soon, mishaps shown, state kept."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import free_port, until

COMPLETE_S = 180.0  # the claim is a minute on an idle machine; a busy one is no finding


class Demo:
    """One demonstration in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.output = folder / "demo.out"
        self.folder = folder
        # Offsets keep our ports apart from each other and from those of a neighbour.
        self.offset = free_port() % 20_000 + 1_000
        own = {k: v for k, v in os.environ.items() if not k.startswith("ISOCENTER_")}  # noqa: TID251 - handed to the product
        self.environment = {**own, "ISOCENTER_HOME": str(self.home)}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "isocenter", "demo", "--port-offset", str(self.offset)]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *arguments],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def get(self, path: str) -> Any:
        token = json.loads((self.home / "demo/hospital.json").read_text())["radiologist_token"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{8080 + self.offset}{path}",
            headers={"Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=15) as answer:
            return json.load(answer)

    def acknowledged(self) -> list[str]:
        """Return the exams whose ledger is complete."""
        assert self.process is not None
        assert self.process.poll() is None, self.said
        try:
            exams = [each["accession_number"] for each in self.get("/api/exams")["items"]]
            ledgers = {
                number: self.get(f"/api/exams/{number}")["hops"] for number in exams if number
            }
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            return []
        return [
            number
            for number, hops in ledgers.items()
            if any(hop["name"] == "acknowledged" and hop["state"] == "done" for hop in hops)
        ]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    yield demo
    if demo.process is not None and demo.process.poll() is None:
        demo.stop()


@pytest.mark.timeout(600)
def test_a_visitor_sees_a_complete_ledger_and_the_demo_goes_on_after_a_restart(demo: Demo):
    demo.start("--fresh")
    began = time.monotonic()
    complete = until(demo.acknowledged, timeout_s=COMPLETE_S, what=demo.said)
    hops = demo.get(f"/api/exams/{complete[0]}")["hops"]
    # Nobody opened the page, so nobody is known to have read before signing.
    passed = [hop["name"] for hop in hops if hop["state"] == "done"]
    for name in ("ordered", "on_worklist", "queried", "images_received", "signed", "acknowledged"):
        assert name in passed, (name, passed, time.monotonic() - began)
    moments = [hop["at"] for hop in hops if hop["state"] == "done" and hop["name"] != "read"]
    assert all(moments)
    assert "Sign in" in demo.said
    assert "could not say" not in demo.said
    told = [
        (step["status"], step["received"] == step["expected"] > 0)
        for number in complete
        for step in demo.get(f"/api/exams/{number}")["performed_steps"]
    ]
    assert set(told) == {("COMPLETED", True)}
    until(lambda: "cancels" in demo.said, timeout_s=60, what="an order is cancelled")
    assert demo.stop() == 0
    before = json.loads((demo.home / "demo/hospital.json").read_text())

    demo.start()
    until(lambda: set(complete) <= set(demo.acknowledged()), timeout_s=90, what=demo.said)
    until(
        lambda: (
            json.loads((demo.home / "demo/hospital.json").read_text())["next_serial"]
            > before["next_serial"]
        ),
        timeout_s=60,
        what="new patients with new numbers",
    )
    assert demo.stop() == 0


def test_a_home_that_the_demo_did_not_make_is_left_alone(demo: Demo):
    demo.home.mkdir()
    (demo.home / "precious").write_text("kept")
    demo.start("--fresh")
    assert demo.process is not None
    assert demo.process.wait(timeout=60) == 5
    assert (demo.home / "precious").read_text() == "kept"
    assert "left alone" in demo.said
