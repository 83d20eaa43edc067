"""OHIF at a path of ours, where it was installed: files, and its page for every path of its own.

Installing it is ``app.second_viewer``'s. It gets a policy of its own, which allows the scripts in
its page by their digests and styles that it makes; it is reached behind the same door as our pages.

Standard: Content Security Policy Level 3
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from isocenter.errors import IsocenterError, Kind

PATH: Final = "/ohif"
FOLDER: Final = "ohif"
POLICY_FILE: Final = "policy.txt"
_PAGE: Final = "index.html"
ABSENT: Final = "OHIF is not installed here: isocenter viewer install-ohif"
_NOT_FOUND: Final = 404


class NotInstalled(IsocenterError):
    """There is no second viewer here."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


def policy_for(scripts: Sequence[str]) -> str:
    """What browsers may do with OHIF's page, which holds these scripts."""
    digests = (hashlib.sha256(each.encode()).digest() for each in scripts)
    allowed = [f"'sha256-{base64.b64encode(each).decode()}'" for each in digests]
    return "; ".join((
        "default-src 'self'",
        " ".join(("script-src 'self' 'wasm-unsafe-eval'", *allowed)),
        "style-src 'self' 'unsafe-inline'",
        "worker-src 'self' blob:",
        "img-src 'self' blob: data:",
        "font-src 'self' data:",
        "connect-src 'self' blob: data:",
        "frame-src blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ))


def is_installed(home: Path | None) -> bool:
    """Whether there is a page below ``home`` to be opened."""
    return home is not None and (home / FOLDER / _PAGE).is_file()


class SecondViewer:
    """The ASGI application, to be mounted at ``PATH``; what is installed is there at once."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / FOLDER
        self._files = StaticFiles(directory=self._folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file, else with OHIF's page, which reads the path itself."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        if not is_installed(self._home):
            return PlainTextResponse(ABSENT, _NOT_FOUND)
        try:
            answer = await self._files.get_response(self._files.get_path(scope), scope)
        except HTTPException as error:
            if error.status_code != _NOT_FOUND:
                raise
            answer = FileResponse(self._folder / _PAGE)
        answer.headers["Content-Security-Policy"] = (self._folder / POLICY_FILE).read_text()
        answer.headers["Cache-Control"] = "private, no-cache"
        return answer
