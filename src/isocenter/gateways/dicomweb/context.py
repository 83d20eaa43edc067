"""What every DICOMweb handler needs, and who asks."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import ClassVar, Final

from starlette.requests import Request

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool

# Within this time the same person opening the same study again is one opening.
_OPENING: Final = timedelta(minutes=10)
_REMEMBERED_MAX: Final = 10_000


class NobodyAsks(IsocenterError):
    """The request reached us without an actor."""

    kind: ClassVar[Kind] = Kind.FORBIDDEN


class NothingThere(IsocenterError):
    """No object of ours has these UIDs."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NotAcceptable(IsocenterError):
    """Nothing that the client accepts can be made of what is stored."""

    kind: ClassVar[Kind] = Kind.UNSUPPORTED


class Dicomweb:
    """The services behind the handlers. One per process."""

    def __init__(
        self, pool: Pool, blobs: BlobStore, *, options: DicomwebOptions, clock: Clock
    ) -> None:
        self.pool = pool
        self.blobs = blobs
        self.options = options
        self.clock = clock
        self._openings: OrderedDict[tuple[str, str, str], datetime] = OrderedDict()

    async def record_opening(self, actor: Actor, study_instance_uid: str) -> None:
        """Put on record that ``actor`` reads the study, once in a while and not for each frame."""
        now = self.clock()
        key = (actor.name, actor.source, study_instance_uid)
        before = self._openings.get(key)
        if before is not None and now - before < _OPENING:
            return

        def record(tx: Tx) -> None:
            archive.record_study_access(
                tx, actor, study_instance_uid, action="study.retrieve", now=now
            )

        await self.pool.run(record)
        self._openings[key] = now
        while len(self._openings) > _REMEMBERED_MAX:
            self._openings.popitem(last=False)


def context_of(request: Request) -> Dicomweb:
    """The services that the application was made with."""
    found: Dicomweb = request.app.state.dicomweb
    return found


def actor_of(request: Request) -> Actor:
    """Who asks; raises ``NobodyAsks``."""
    actor: Actor | None = getattr(request.state, "actor", None)
    if actor is None:
        raise NobodyAsks("sign in, or send a bearer token")
    return actor


def viewer_of(request: Request) -> Viewer:
    """The ticket to read studies; refuses who may not."""
    return Viewer.of(actor_of(request), Action.STUDY_READ)


def service_root(request: Request) -> str:
    """The URL below which our resources are, as the client reached them."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"
