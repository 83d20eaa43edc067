"""The ASGI application of pages and API, to be mounted at the root.

What stands in front (credentials, origin, limits, headers) is ``app.http``'s.
"""

from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from mimetypes import guess_type

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from isocenter.errors import IsocenterError
from isocenter.gateways.web import api, pages
from isocenter.gateways.web.feed import Feed
from isocenter.gateways.web.hl7_desk import Hl7Desk
from isocenter.gateways.web.options import WebOptions
from isocenter.gateways.web.problems import (
    answer_error,
    answer_fault,
    answer_http_error,
    answer_invalid,
)
from isocenter.gateways.web.waiting import count_waiting
from isocenter.gateways.web.web import STATIC, Check, Web
from isocenter.gateways.web.workspace_assets import CONTENT_SECURITY_POLICY, FOLDER
from isocenter.infra import outbox
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock, utc_now
from isocenter.infra.pools import Pool

_KEPT_FOR_EVER = "public, max-age=31536000, immutable"
_DESCRIPTION = "Radiology from order to report. Programs authenticate with a bearer token."


class _Assets(StaticFiles):
    """Static files whose address changes with their content; compressed where that was prepared."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await self._found(path, scope)
        answer.headers["Cache-Control"] = _KEPT_FOR_EVER
        if path.startswith(f"{FOLDER}/"):  # a worker's policy comes with the worker's own script
            answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return answer

    async def _found(self, path: str, scope: Scope) -> Response:
        compressed, _ = self.lookup_path(f"{path}.gz")
        if not compressed or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            return await super().get_response(path, scope)
        answer = await super().get_response(f"{path}.gz", scope)
        kind, _ = guess_type(path)
        answer.headers["Content-Type"] = kind or "application/octet-stream"
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
        return answer


def routes(
    pool: Pool,
    blobs: BlobStore,
    options: WebOptions,
    *,
    checks: Callable[[], Awaitable[Sequence[Check]]],
    hl7: Hl7Desk,
    clock: Clock = utc_now,
) -> FastAPI:
    """Pages, API, event stream and static files of one process.

    ``checks`` tells which of the things that we depend on are there; ``hl7`` answers for the HL7
    interface.
    """
    feed = Feed(pool, options, read=outbox.feed, head=outbox.feed_end)
    application = FastAPI(
        title=options.site_name,
        version=_version(),
        description=_DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,  # the stock pages load scripts from other hosts
        redoc_url=None,
    )
    application.state.web = Web(
        pool=pool,
        blobs=blobs,
        options=options,
        clock=clock,
        checks=checks,
        version=_version(),
        feed=feed,
        hl7=hl7,
    )
    application.add_exception_handler(Exception, answer_fault)
    application.add_exception_handler(IsocenterError, answer_error)
    application.add_exception_handler(HTTPException, answer_http_error)
    application.add_exception_handler(404, answer_http_error)
    application.add_exception_handler(405, answer_http_error)
    application.add_exception_handler(RequestValidationError, answer_invalid)
    for router in api.ROUTERS:
        application.include_router(router)
    for router in pages.ROUTERS:
        application.include_router(router, dependencies=[Depends(count_waiting)])
    application.mount("/static", _Assets(directory=STATIC), name="static")
    return application


def _version() -> str:
    try:
        return version("isocenter")
    except PackageNotFoundError:
        return "0"
