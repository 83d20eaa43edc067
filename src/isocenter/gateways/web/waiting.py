"""The figure on every page: how many studies need a person."""

from fastapi import Request

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.gateways.web.web import InWeb
from isocenter.readmodels.reconciliation import waiting_count


async def count_waiting(request: Request, web: InWeb) -> None:
    """Have the page say how many studies need a person, to those who may look at them."""
    actor: Actor | None = getattr(request.state, "actor", None)
    if request.method != "GET" or actor is None or Action.STUDY_READ not in actor.actions:
        return
    viewer = Viewer.of(actor, Action.STUDY_READ)
    request.state.waiting = await web.pool.read(waiting_count, viewer, now=web.clock())
