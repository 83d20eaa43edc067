"""What every DICOMweb handler needs, and who asks."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from starlette.requests import Request

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.gateways.dicomweb.errors import NobodyAsks
from isocenter.gateways.dicomweb.kept_bodies import KeptBodies
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.gateways.dicomweb.pictures import FrameIndex
from isocenter.gateways.dicomweb.single_flight import SingleFlight
from isocenter.gateways.dicomweb.workitem_channels import EventChannels
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool

_Opening = tuple[str, str, str]  # name of the actor, where it comes from, Study Instance UID
# Within this time the same person opening the same study again is one opening.
_OPENING: Final = timedelta(minutes=10)
_REMEMBERED_MAX: Final = 10_000


class Dicomweb:
    """The services behind the handlers. One per process."""

    def __init__(
        self, pool: Pool, blobs: BlobStore, *, options: DicomwebOptions, clock: Clock
    ) -> None:
        self.pool = pool
        self.blobs = blobs
        self.options = options
        self.clock = clock
        self.frame_index = FrameIndex(blobs)
        self.metadata = SingleFlight[bytes]()
        self.kept_bodies = KeptBodies(options.kept_bodies_bytes_max)
        self.channels = EventChannels(pool, options=options, clock=clock)
        self._openings: OrderedDict[_Opening, datetime] = OrderedDict()
        self._recording = SingleFlight[None]()

    async def record_opening(self, actor: Actor, study_instance_uid: str) -> None:
        """Put on record that ``actor`` reads the study, once in a while and not for each frame.

        Nothing is shown before it is on record: requests that come together wait for one record.
        """
        if not self.is_on_record(actor, study_instance_uid):
            now = self.clock()
            key = (actor.name, actor.source, study_instance_uid)
            await self._recording.run(key, lambda: self._record(actor, key, now))

    def is_on_record(self, actor: Actor, study_instance_uid: str) -> bool:
        """Whether ``record_opening`` has nothing to do; also from other threads."""
        before = self._openings.get((actor.name, actor.source, study_instance_uid))
        return before is not None and self.clock() - before < _OPENING

    async def record_export(self, actor: Actor, study_instance_uid: str) -> None:
        """Put on record that ``actor`` takes the study away."""
        now = self.clock()

        def record(tx: Tx) -> None:
            archive.record_study_access(
                tx, actor, study_instance_uid, action="study.export", now=now
            )

        await self.pool.run(record)

    async def _record(self, actor: Actor, key: _Opening, now: datetime) -> None:
        def record(tx: Tx) -> None:
            archive.record_study_access(tx, actor, key[-1], action="study.retrieve", now=now)

        await self.pool.run(record)
        self._openings.pop(key, None)
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
    """The URL below which our resources are, as the client reached them or should have."""
    origin = context_of(request).options.public_url.rstrip("/")
    if not origin:
        host = request.headers.get("host") or request.url.netloc
        origin = f"{request.scope['scheme']}://{host}"
    return origin + request.scope.get("root_path", "")
