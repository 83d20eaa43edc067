"""Whether this process lives, whether it can work, and its figures.

Liveness asks nothing of others: a database that is away must not make a supervisor restart what is
well. Strangers learn only yes or no; which part is missing is for those who may see the system.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from isocenter.domain.access.model import Action, authorize
from isocenter.errors import IsocenterError
from isocenter.gateways.web.problems import problem_of
from isocenter.gateways.web.web import Check
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Tx
from isocenter.infra.db.migrate import pending
from isocenter.infra.pools import Pool

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_GIGABYTE = 1_000_000_000

Checks = Callable[[], Awaitable[Sequence[Check]]]


def dependency_checks(pool: Pool, blobs: BlobStore, *, free_bytes_min: int) -> Checks:
    """A function that tells whether the database and the object store can be worked with."""

    async def checks() -> list[Check]:
        return [
            await _database(pool),
            await _schema(pool),
            await _storage(pool, blobs, free_bytes_min),
        ]

    return checks


async def _database(pool: Pool) -> Check:
    try:
        await pool.read(_ask)
    except IsocenterError as error:
        return Check("Database", ready=False, detail=error.message)
    return Check("Database", ready=True, detail="answers")


def _ask(tx: Tx) -> None:
    tx.value("select 1")


async def _schema(pool: Pool) -> Check:
    try:
        missing = await pool.call(pending, pool.db.url)
    except IsocenterError as error:
        return Check("Schema", ready=False, detail=error.message)
    if missing:
        return Check("Schema", ready=False, detail=f"{len(missing)} migrations are missing")
    return Check("Schema", ready=True, detail="current")


async def _storage(pool: Pool, blobs: BlobStore, free_bytes_min: int) -> Check:
    try:
        free = await pool.call(blobs.free_bytes)
    except (IsocenterError, OSError) as error:
        return Check("Object store", ready=False, detail=type(error).__name__)
    if free is None:
        return Check("Object store", ready=True, detail="answers")
    return Check(
        "Object store", ready=free >= free_bytes_min, detail=f"{free / _GIGABYTE:.1f} GB free"
    )


def health_routes(checks: Checks, metrics: Callable[[], str]) -> list[Route]:
    """``/health/live``, ``/health/ready`` and ``/metrics``."""

    async def live(request: Request) -> Response:
        del request
        return JSONResponse({"status": "live"})

    async def ready(request: Request) -> Response:
        del request
        found = await checks()
        is_ready = all(each.ready for each in found)
        status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"status": "ready" if is_ready else "not ready"}, status)

    async def exposition(request: Request) -> Response:
        try:
            authorize(request.state.actor, Action.SYSTEM_READ)
        except IsocenterError as error:
            return problem_of(error)
        return PlainTextResponse(metrics(), media_type=EXPOSITION)

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/metrics", exposition),
    ]
