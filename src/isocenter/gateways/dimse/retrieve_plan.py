"""What a C-MOVE or C-GET is about: instances from the database, destinations from the peers.

Standard: PS3.4 C.4.2, C.4.3
"""

import ssl
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.service import renditions
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse.outgoing import KeptRendition, Outgoing
from isocenter.gateways.dimse.ports import RetrievePlan, RetrieveRequest
from isocenter.gateways.dimse.scu import Peer
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool
from isocenter.readmodels.study_list_retrieval import RetrievableInstance, retrievable

INSTANCES_MAX: Final = 50_000
# Some destinations store on tape before they answer.
_ANSWER_TIMEOUT_S: Final = 60.0


class DestinationUnknown(IsocenterError):
    """No DICOM peer has the AE title, or none that can be called."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class TooManyInstances(IsocenterError):
    """One retrieval would be of more instances than one may be."""

    kind: ClassVar[Kind] = Kind.BUSY


class StudyRetrieval:
    """Plans retrievals of both roots, and keeps who was given what."""

    def __init__(
        self,
        pool: Pool,
        *,
        clock: Clock,
        ae_title: str,
        tls: ssl.SSLContext | None,
        instances_max: int = INSTANCES_MAX,
    ) -> None:
        """``tls`` is how peers are called that want it."""
        self._pool = pool
        self._clock = clock
        self._ae_title = ae_title
        self._tls = tls
        self._instances_max = instances_max

    def __call__(self, request: RetrieveRequest, /) -> RetrievePlan:
        """The instances and where they go; none when nothing is there of what is wanted.

        Raises:
            DestinationUnknown: no such peer.
            TooManyInstances: it would be too many.
        """
        return self._pool.run_here(lambda tx: self._planned(tx, request))

    def _planned(self, tx: Tx, request: RetrieveRequest) -> RetrievePlan:
        actor = Actor.dicom_peer(
            request.grant.peer_name,
            request.caller.address,
            [each.value for each in request.grant.services],
        )
        viewer = Viewer.of(actor, Action.STUDY_READ)
        destination = None
        if request.move_destination is not None:
            destination = self._destination(tx, request.move_destination)
        limit = self._instances_max
        found = retrievable(tx, viewer, request.wanted, limit=limit + 1)
        if len(found) > limit:
            raise TooManyInstances(f"more than {limit} instances: ask for less")
        modifications = archive.modifications(
            tx, viewer, {each.study_instance_uid for each in found}
        )
        kept = {
            uid: KeptRendition(each.blob_key, each.size_bytes)
            for uid, each in renditions.renditions_of(
                tx, viewer, [each.sop_instance_uid for each in found]
            ).items()
        }
        receiver = request.move_destination or request.caller.calling_ae_title
        _audit(tx, actor, found, receiver, now=self._clock())
        instances = [
            Outgoing(
                study_instance_uid=each.study_instance_uid,
                sop_class_uid=each.sop_class_uid,
                sop_instance_uid=each.sop_instance_uid,
                transfer_syntax_uid=each.transfer_syntax_uid,
                blob_key=each.blob_key,
                size_bytes=each.size_bytes,
                dataset_offset=each.dataset_offset,
                pixel_data_offset=each.pixel_data_offset,
                modification=modifications.of(each),
                rendition=kept.get(each.sop_instance_uid),
            )
            for each in found
        ]
        return RetrievePlan(instances, destination)

    def _destination(self, tx: Tx, ae_title: str) -> Peer:
        known = peers.dicom_peer_titled(tx, ae_title)
        if known is None or not known.enabled:
            raise DestinationUnknown(f"{ae_title} is no peer of ours")
        return callable_peer(known, calling_ae_title=self._ae_title, tls=self._tls)


def callable_peer(peer: DicomPeer, *, calling_ae_title: str, tls: ssl.SSLContext | None) -> Peer:
    """How to call a peer. Raises ``DestinationUnknown`` when its address is a network."""
    if "/" in peer.host:
        raise DestinationUnknown(f"{peer.name} is known by a network and cannot be called")
    return Peer(
        host=peer.host,
        port=peer.port,
        called_ae_title=peer.ae_title,
        calling_ae_title=calling_ae_title,
        tls=tls if peer.tls else None,
        timeout_s=_ANSWER_TIMEOUT_S,
    )


def _audit(
    tx: Tx, actor: Actor, found: Sequence[RetrievableInstance], receiver: str, *, now: datetime
) -> None:
    """One entry for each study that leaves.

    Standard: PS3.15 A.5.3.7 (Begin Transferring DICOM Instances)
    """
    counts = Counter((each.study_instance_uid, each.patient_id) for each in found)
    for (study_instance_uid, patient_id), instances in counts.items():
        entry = AuditEntry(
            action="study.retrieve",
            actor=actor.name,
            actor_kind=actor.kind.value,
            source=actor.source,
            object_type="study",
            object_id=study_instance_uid,
            patient_id=patient_id,
            detail={"receiver": receiver, "instances": instances},
        )
        record(tx, entry, now=now)
