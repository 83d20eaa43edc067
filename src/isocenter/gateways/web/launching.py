"""From what another system asks to be shown to the page of ours that shows it, and to its session.

Codes and signatures are ``domain.access``'s, finding the studies is a read model's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.access.model_launch import (
    SESSION_S_DEFAULT,
    BadLaunch,
    Invocation,
    LaunchGrant,
    RequestType,
)
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.options import WebOptions
from isocenter.infra.db import Tx
from isocenter.readmodels.launch_targets import InvokedStudy, invoked_studies
from isocenter.readmodels.prior_studies import prior_studies

LIST_PATH: Final = "/IHEInvokeImageDisplay"
_FRAMES: Final = frozenset({"iframe", "frame", "embed", "object"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class NothingToShow(IsocenterError):
    """No images fit what is asked for."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class Confine(StrEnum):
    """What a launched session may see: the studies meant, all of their patient, or everything."""

    STUDY = "study"
    PATIENT = "patient"
    NONE = "none"


class View(StrEnum):
    """Which page: the reading workspace, or the report with its images below for clinicians."""

    WORKSPACE = "workspace"
    CLINICIAN = "clinician"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A launch as its issuer describes it. ``view`` None: as the invocation's quality says."""

    invocation: Invocation
    parameters: Mapping[str, str]
    confine: Confine = Confine.STUDY
    view: View | None = None
    scope: frozenset[Action] = frozenset()
    session_s: int = SESSION_S_DEFAULT
    on_behalf_of: str = ""
    frame_origin: str | None = None


def found_studies(tx: Tx, viewer: Viewer, wanted: Invocation, *, look: Look) -> list[InvokedStudy]:
    """The studies that are meant and that the actor's session may see; the search is on record."""
    named = (*wanted.study_instance_uids, *wanted.accession_numbers)
    what = ("launch.search", "study", ",".join(named)[:200])
    patient_id = wanted.patient_id or None
    look.readings.note(tx, viewer.actor, what, patient_id=patient_id, now=look.now)
    found = invoked_studies(tx, viewer, wanted)
    launched = viewer.actor.launched
    if launched is None or launched.study_instance_uids is None:
        return found
    return [each for each in found if each.study_instance_uid in launched.study_instance_uids]


def grant_of(tx: Tx, viewer: Viewer, wish: Wish, *, options: WebOptions, look: Look) -> LaunchGrant:
    """What the wish opens. Raises ``NothingToShow``, ``BadLaunch``."""
    if wish.frame_origin is not None and wish.frame_origin not in options.frame_origins:
        raise BadLaunch("frame_origin is not among the origins of the setting frame_ancestors")
    found = found_studies(tx, viewer, wish.invocation, look=look)
    grant = LaunchGrant(
        target=target_of(wish.invocation, found, view=wish.view) or _list_of(wish.parameters),
        scope=wish.scope,
        session_s=wish.session_s,
        on_behalf_of=wish.on_behalf_of,
        frame_origin=wish.frame_origin,
    )
    if wish.confine is Confine.NONE:
        return grant
    uids = {each.study_instance_uid for each in found}
    numbers = {each.accession_number for each in found if each.accession_number}
    if wish.confine is Confine.PATIENT and found:
        for each in prior_studies(tx, viewer, found[0].study_instance_uid):
            uids.add(each.study_instance_uid)
            numbers.update([each.accession_number] if each.accession_number else [])
    if not found:
        numbers.update(wish.invocation.accession_numbers)
    # An exam's page shows all studies of its order.
    whole = Invocation(request_type=RequestType.STUDY, accession_numbers=tuple(sorted(numbers)))
    uids.update(each.study_instance_uid for each in invoked_studies(tx, viewer, whole))
    return replace(grant, study_instance_uids=sorted(uids), accession_numbers=sorted(numbers))


def target_of(
    wanted: Invocation, found: Sequence[InvokedStudy], *, view: View | None = None
) -> str:
    """The page that shows what was found; empty when it takes a list to choose from.

    Raises ``NothingToShow`` when nothing was found, and no order is named that may have a report.
    """
    clinician = view is View.CLINICIAN or (view is None and wanted.diagnostic is False)
    tail = "embed" if clinician else "read"
    more = {"keyImagesOnly": "true"} if wanted.key_images_only else {}
    exams = {each.accession_number for each in found}
    if not found:
        if len(wanted.accession_numbers) != 1:
            raise NothingToShow("There are no images that fit.")
        return f"/exams/{quote(wanted.accession_numbers[0], safe='')}/{tail}"
    number = found[0].accession_number
    if len(exams) == 1 and number is not None:
        return _path(f"/exams/{quote(number, safe='')}/{tail}", more)
    if len(found) == 1:
        return _path(f"/studies/{found[0].study_instance_uid}/{tail}", more)
    if clinician or wanted.request_type is RequestType.PATIENT:
        return ""
    named = {"StudyInstanceUIDs": ",".join(each.study_instance_uid for each in found)}
    return _path("/viewer", named | more)


def _path(path: str, parameters: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path


def _list_of(parameters: Mapping[str, str]) -> str:
    return _path(LIST_PATH, parameters)


def frame_origins(actor: Actor, configured: Collection[str]) -> list[str]:
    """The origins with whose pages ours may talk: the one that a launch was made for, else all."""
    if actor.launched is not None and actor.launched.frame_origin is not None:
        return [each for each in configured if each == actor.launched.frame_origin]
    return sorted(configured)


def is_framed(request: Request) -> bool:
    """Whether the browser asks for a page inside a frame.

    Standard: Fetch Metadata Request Headers 2.1
    """
    return request.headers.get("sec-fetch-dest", "") in _FRAMES


def set_session_cookie(
    request: Request, answer: Response, secret: str, *, options: WebOptions, max_age_s: int | None
) -> None:
    """Let the browser keep the session; ``max_age_s`` 0 removes it, None: until it is closed.

    In a frame of another site a cookie must be SameSite=None, and is then kept apart for that site
    alone (Partitioned). Our pages are shown in frames of the configured origins only, and without
    such origins, or without TLS, no such cookie is ever made.

    Standard: RFC 6265bis 4.1.2, CHIPS
    """
    secure = options.secure_cookies or (request.url.hostname or "") in _LOOPBACK
    if is_framed(request) and options.frame_origins and secure:
        kind = "SameSite=None; Secure; Partitioned"
    else:
        kind = "SameSite=Lax; Secure" if options.secure_cookies else "SameSite=Lax"
    age = "" if max_age_s is None else f"; Max-Age={max_age_s}"
    cookie = f"{options.session_cookie}={secret}; Path=/; HttpOnly{age}; {kind}"
    answer.headers.append("Set-Cookie", cookie)
