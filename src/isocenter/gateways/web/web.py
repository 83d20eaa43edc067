"""What every page and API function of one process shares, and how a page is made.

Requests find it at ``request.app.state.web``. It holds no state of its own: truth is in PostgreSQL.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.gateways.web import formats
from isocenter.gateways.web.feed import Feed
from isocenter.gateways.web.hl7_desk import Hl7Desk
from isocenter.gateways.web.navigation import Permissions, items_for
from isocenter.gateways.web.onrecord import Look, Readings
from isocenter.gateways.web.options import WebOptions
from isocenter.gateways.web.second_viewer import is_installed
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.pools import Pool

STATIC = Path(__file__).parent / "static"
THEME_COOKIE = "isocenter_theme"
THEMES = frozenset({"light", "dark"})
# Confirmations that a redirect may name. The address carries the key only, never a text.
NOTICES: Mapping[str, str] = {
    "matched": "Matched. The exam and the images have found each other.",
    "dismissed": "The case is closed.",
    "undone": "The match is undone. The images need a person again.",
    "order_made": "The order is made, and the images belong to it.",
    "moved": "The images are of that patient from now on.",
    "held": "The images rest. They come back when their time is over.",
    "released": "The images rest no longer.",
    "claimed": "You look after these images.",
    "unclaimed": "Nobody looks after these images now.",
    "patients_linked": "Linked. Both records stay, and are of one person.",
    "patients_merged": "Merged. This record stands for both from now on.",
    "patients_parted": "Kept apart. This is not asked again.",
    "identity_undone": "Undone. Everything is as if it had never been said.",
    "decision_undone": "The decision is taken back.",
    "split_off": "Split off. These images are a study of their own now; who holds them is told.",
    "split_undone": "Put back. The images are where they came again.",
    "images_restored": "Restored. The images are in use again.",
    "images_rejected": "Rejected. Nobody is shown these images from now on.",
    "rule_made": "The rule decides from now on. You can switch it off at any time.",
    "rule_switched": "The rule is switched. What it decided stays.",
    "prefix_added": "Numbers with and without the prefix are the same from now on.",
    "prefix_removed": "The prefix is a part of the number again.",
    "replayed": "Queued to be sent again.",
    "skipped": "It is not sent any more; what waited behind it goes on.",
    "draft": "The draft is saved.",
    "signed": "Signed. The report is on its way to its recipients.",
    "approved": "Approved. The caller is a peer from now on.",
    "pending_dismissed": "Dismissed. The caller stays refused.",
    "peer_added": "The peer is added.",
    "peer_changed": "The peer is changed.",
    "booked_again": "The exam is on the scanners' worklist again.",
    "peer_removed": "The peer is removed. Its calls are refused from now on.",
    "user_added": "The user is added.",
    "user_disabled": "The user is disabled.",
    "user_enabled": "The user is enabled again.",
    "password_set": "The password is set.",
    "token_revoked": "The token is revoked.",
    "route_added": "The route is added. Images that come from now on follow it.",
    "route_removed": "The route is removed. What is queued still goes.",
    "route_switched": "The route is switched.",
    "paused": "Paused. Nothing more is sent to the recipient for now.",
    "resumed": "Resumed. What waited is being sent.",
    "recipient_switched": "Kept. It counts from the next merge on.",
    "retried": "The work is queued again.",
    "exchanged": "The other content is shown now. Both are kept.",
    "processing_again": "It is processed again in a moment. What came of it is listed below.",
    "replays_canceled": "What waited is not processed again.",
    "golden_kept": "Kept. From now on it is verified that the message means the same.",
    "golden_forgotten": "Forgotten. The message is no longer verified.",
    "drafted": "The draft is kept. See below what it would change, then promote it.",
    "promoted": "Promoted. This version counts from now on.",
    "draft_discarded": "The draft is discarded.",
    "given_up": "The finding is settled. It alarms no more.",
}


@dataclass(frozen=True, slots=True)
class Check:
    """Whether one thing that we depend on is there."""

    name: str
    ready: bool
    detail: str = ""


@dataclass(frozen=True)
class Web:
    """The shared things of one process."""

    pool: Pool
    blobs: BlobStore
    options: WebOptions
    clock: Clock
    checks: Callable[[], Awaitable[Sequence[Check]]]
    version: str
    feed: Feed
    hl7: Hl7Desk
    readings: Readings = field(default_factory=Readings)
    _digests: dict[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def environment(self) -> Environment:
        """The templates, with every value escaped."""
        environment = Environment(
            loader=PackageLoader("isocenter.gateways.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(formats.FILTERS)
        shared: dict[str, Any] = {
            "options": self.options,
            "version": self.version,
            "asset": self.asset,
            "exam_path": exam_path,
        }
        environment.globals.update(shared)
        return environment

    def look(self) -> Look:
        """One look at exams, now."""
        return Look(self.clock(), self.options.expectations, self.readings)

    def asset(self, name: str) -> str:
        """The address of a static file; it changes with the content, so it may be kept for ever."""
        if name not in self._digests:
            content = (STATIC / name).read_bytes()
            self._digests[name] = hashlib.sha256(content).hexdigest()[:12]
        return f"/static/{name}?v={self._digests[name]}"

    def page(
        self,
        request: Request,
        template: str,
        context: Mapping[str, Any],
        *,
        status: HTTPStatus = HTTPStatus.OK,
        default_theme: str = "",
    ) -> HTMLResponse:
        """The page that ``template`` makes of ``context``, in the reader's appearance."""
        now = self.clock()
        actor: Actor | None = getattr(request.state, "actor", None)
        theme = request.cookies.get(THEME_COOKIE, "")
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        shared: dict[str, Any] = {
            "actor": actor,
            "may": Permissions(actor),
            "navigation": items_for(actor),
            "section": request.url.path,
            "here": here,
            "theme": theme if theme in THEMES else default_theme,
            "waiting": getattr(request.state, "waiting", 0),
            "notice": NOTICES.get(request.query_params.get("done", "")),
            "trouble": None,
            "zone_name": now.astimezone(self.options.time_zone).tzname() or "UTC",
            "second_viewer": is_installed(self.options.second_viewer_home),
            "now": now,
            "when": partial(formats.when, now=now, zone=self.options.time_zone),
            "age": partial(formats.age, now=now),
        }
        text = self.environment.get_template(template).render({**shared, **context})
        return HTMLResponse(text, status_code=status)

    def problem_page(self, request: Request, status: HTTPStatus, detail: str) -> Response:
        """A failure as a page for a person."""
        heading = PROBLEM_HEADINGS.get(status, "That did not work")
        context = {"status": status, "heading": heading, "detail": detail}
        return self.page(request, "problem.html", context, status=status)


PROBLEM_HEADINGS: Mapping[HTTPStatus, str] = {
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.FORBIDDEN: "You may not do this",
    HTTPStatus.CONFLICT: "The situation has changed meanwhile",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many at once: try again in a moment",
    HTTPStatus.SERVICE_UNAVAILABLE: "Something we depend on is away: try again in a moment",
}


def exam_path(accession_number: str, study_instance_uid: str = "") -> str:
    """The address of an exam's page: its study's when no order claims it."""
    if study_instance_uid:
        return f"/studies/{study_instance_uid}"
    return f"/exams/{quote(accession_number, safe='')}"


def seen_after(path: str, done: str = "") -> RedirectResponse:
    """Where the browser goes after a form was carried out, and what is confirmed there."""
    separator = "&" if "?" in path else "?"
    target = f"{path}{separator}done={done}" if done else path
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)


def local_path(path: str, otherwise: str = "/") -> str:
    """``path`` when it stays on this server, so that no form sends a person elsewhere."""
    stays = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if stays else otherwise


def _web(request: Request) -> Web:
    return request.app.state.web


def _actor(request: Request) -> Actor:
    return request.state.actor


def _viewer(action: Action) -> Callable[[Request], Viewer]:
    def viewer(request: Request) -> Viewer:
        return Viewer.of(request.state.actor, action)

    return viewer


InWeb = Annotated[Web, Depends(_web)]
SignedIn = Annotated[Actor, Depends(_actor)]
ExamViewer = Annotated[Viewer, Depends(_viewer(Action.EXAM_READ))]
StudyViewer = Annotated[Viewer, Depends(_viewer(Action.STUDY_READ))]
RejectionViewer = Annotated[Viewer, Depends(_viewer(Action.STUDY_REJECT))]
PatientViewer = Annotated[Viewer, Depends(_viewer(Action.PATIENT_READ))]
WorklistViewer = Annotated[Viewer, Depends(_viewer(Action.WORKLIST_READ))]
ReportViewer = Annotated[Viewer, Depends(_viewer(Action.REPORT_READ))]
DeliveryViewer = Annotated[Viewer, Depends(_viewer(Action.DELIVERY_READ))]
MessageViewer = Annotated[Viewer, Depends(_viewer(Action.MESSAGE_READ))]
PeerViewer = Annotated[Viewer, Depends(_viewer(Action.PEER_READ))]
AuditViewer = Annotated[Viewer, Depends(_viewer(Action.AUDIT_READ))]
SystemViewer = Annotated[Viewer, Depends(_viewer(Action.SYSTEM_READ))]
