"""The state of the installation: what it depends on, what waits, what gave up."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.gateways.web.web import InWeb, SignedIn, SystemViewer, seen_after
from isocenter.infra import outbox
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx

router = APIRouter(include_in_schema=False)

_DEAD_MAX = 100


@router.get("/system")
async def show(request: Request, web: InWeb, viewer: SystemViewer) -> Response:
    """Health, queues and dead letters."""
    del viewer  # made, so permitted
    checks = await web.checks()
    waiting, dead = await web.pool.read(_load)
    context = {
        "section": "/system",
        "checks": checks,
        "waiting": waiting,
        "dead": dead,
        "subscriber_count": web.feed.subscriber_count,
    }
    return web.page(request, "system.html", context)


def _load(tx: Tx) -> tuple[int, list[outbox.DeadLetter]]:
    return outbox.count_waiting(tx), outbox.dead_letters(tx, limit=_DEAD_MAX)


@router.post("/system/dead/{event_id}/{subscriber}")
async def retry(web: InWeb, actor: SignedIn, event_id: int, subscriber: str) -> Response:
    """The work that gave up is tried again."""
    await web.pool.run(_replay, actor, event_id, subscriber, clock=web.clock)
    return seen_after("/system", "retried")


def _replay(tx: Tx, actor: Actor, event_id: int, subscriber: str, *, clock: Clock) -> None:
    authorize(actor, Action.PEER_WRITE)  # whoever changes how the installation works
    now = clock()
    outbox.replay(tx, event_id, subscriber, now=now)
    entry = AuditEntry(
        action="outbox.replay",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="delivery",
        object_id=f"{event_id} {subscriber}",
    )
    audit.record(tx, entry, now=now)
