"""Rules of reconciliation: what people decide again and again; prefixes of accession numbers."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.model import Offer
from isocenter.gateways.web.web import InWeb, SignedIn, StudyViewer, seen_after
from isocenter.infra.db import Tx

router = APIRouter(include_in_schema=False)


@router.get("/reconciliation-rules")
async def show(request: Request, web: InWeb, viewer: StudyViewer) -> Response:
    """Rules in use, rules that past decisions bear out, prefixes of accession numbers."""
    rules, offers, prefixes = await web.pool.read(_load, viewer)
    context: dict[str, Any] = {
        "section": "/reconciliation",
        "rules": rules,
        "offers": offers,
        "prefixes": prefixes,
    }
    return web.page(request, "reconciliation_rules.html", context)


def _load(tx: Tx, viewer: Viewer) -> tuple[list[reconcile.RuleInUse], list[Offer], list[str]]:
    return (
        reconcile.rules(tx, viewer),
        reconcile.offered_rules(tx, viewer),
        reconcile.prefixes(tx, viewer),
    )


@router.post("/reconciliation-rules")
async def make(
    web: InWeb,
    actor: SignedIn,
    station_ae_title: Annotated[str, Form()],
    terms: Annotated[list[str], Form()],
) -> Response:
    """An offered rule made."""
    await web.pool.run(reconcile.make_rule, actor, station_ae_title, terms, now=web.clock())
    return seen_after("/reconciliation-rules", "rule_made")


@router.post("/reconciliation-rules/{rule_key}")
async def switch(
    web: InWeb, actor: SignedIn, rule_key: int, enabled: Annotated[bool, Form()]
) -> Response:
    """A rule switched on or off."""
    await web.pool.run(reconcile.switch_rule, actor, rule_key, enabled=enabled, now=web.clock())
    return seen_after("/reconciliation-rules", "rule_switched")


@router.post("/accession-prefixes")
async def add_prefix(
    web: InWeb, actor: SignedIn, prefix: Annotated[str, Form(max_length=15)]
) -> Response:
    """A prefix that numbers have or have not."""
    await web.pool.run(reconcile.add_prefix, actor, prefix, now=web.clock())
    return seen_after("/reconciliation-rules", "prefix_added")


@router.post("/accession-prefixes/remove")
async def remove_prefix(
    web: InWeb, actor: SignedIn, prefix: Annotated[str, Form(max_length=15)]
) -> Response:
    """A prefix forgotten."""
    await web.pool.run(reconcile.remove_prefix, actor, prefix, now=web.clock())
    return seen_after("/reconciliation-rules", "prefix_removed")
