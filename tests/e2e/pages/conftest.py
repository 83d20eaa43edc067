"""The pages in a real browser, served by the real server; no browser: skipped."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server

from isocenter.app.subscriptions import router
from isocenter.infra.db import Database
from tests.hospital import PASSWORD, Hospital


class Site:
    """A hospital that answers on a port."""

    def __init__(self, hospital: Hospital) -> None:
        self.hospital = hospital
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = Server(
            self.hospital.application,
            address="127.0.0.1",
            port=self.port,
            interface=Interfaces.ASGINL,
            log_enabled=False,
        )
        self._ready.set()
        await self._server.serve()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(10)


@pytest.fixture
def site(make_database: Callable[..., Database], tmp_path: Path) -> Iterator[Site]:
    made = Site(Hospital(make_database(router=router()), tmp_path / "objects"))
    yield made
    made.stop()
    made.hospital.pool.close()


@pytest.fixture
def open_page(chromium, site):
    """Open a page as a user, who signs in by the form. What the browser objects to is a failure."""
    complaints: list[str] = []
    pages = []

    def opened(user: str, path: str = "/", **options):
        site.hospital.user(user)
        context = chromium.new_context(base_url=site.url, **options)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: complaints.append(line.text) if "Content Security" in line.text else None,
        )
        pages.append(context)
        page.goto(path)
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{site.url}{path}*")
        return page

    yield opened
    for context in pages:
        context.close()
    assert not complaints
