"""C-GET as SCU: another archive's images come over the association that asks for them.

The peer stores to us while it answers: for storage classes we are the SCP, which both sides agree
on beforehand. One object is in memory at a time; who gets it, and what becomes of it, is the
caller's business.

Standard: PS3.4 C.4.3, C.5.3
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.gateways.dimse import scu
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Category, Status, category_of
from isocenter.standards.dicom.ul.items import RoleSelection
from isocenter.standards.dicom.values import DataSet, decode_dataset

_SOP_CLASSES_IN_STUDY: Final = 0x00080062
_FAILED_SOP_INSTANCE_UID_LIST: Final = 0x00080058
# 128 presentation contexts have odd identifiers (PS3.8 9.3.2.2), and one is for the asking.
CLASSES_MAX: Final = 127
# An object is in memory until it is kept.
OBJECT_BYTES_MAX: Final = 1 << 30
# The most common first: where there is no room for more, each has a context of its own.
_COMPRESSED: Final = (
    uids.JPEG_2000_LOSSLESS,
    uids.JPEG_LOSSLESS_FIRST_ORDER,
    uids.JPEG_BASELINE,
    uids.RLE_LOSSLESS,
    uids.JPEG_LS_LOSSLESS,
    uids.JPEG_2000,
    uids.JPEG_LS_NEAR_LOSSLESS,
    uids.HTJ2K_LOSSLESS,
)


@dataclass(frozen=True, slots=True)
class Received:
    """An object that the peer sent."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GetProgress:
    """How a C-GET ended, as the peer says it."""

    status: int
    completed: int
    failed: int
    warnings: int
    error_comment: str = ""
    failed_sop_instance_uids: tuple[str, ...] = ()


Take = Callable[[Received], Awaitable[Status]]
"""Keeps an object; the status is what its sender is told."""


def usual_classes() -> Sequence[str]:
    """As many storage classes as one association can carry, those of images first."""
    known = uids.storage_classes()
    images = [uid for uid in known if "Image Storage" in uids.name_of(uid)]
    others = [uid for uid in known if uid not in set(images)]
    return [*images, *others][:CLASSES_MAX]


async def get(
    called: scu.Peer,
    identifier: DataSet,
    take: Take,
    *,
    sop_class_uids: Sequence[str] = (),
    object_bytes_max: int = OBJECT_BYTES_MAX,
) -> GetProgress:
    """How it ended, after ``take`` was given each object that came.

    Args:
        called: the peer.
        identifier: what is wanted.
        take: keeps an object before the peer is told that it is kept.
        sop_class_uids: of the objects that may come, at most ``CLASSES_MAX``; the usual ones when
            nothing is said.
        object_bytes_max: the largest object; a larger one is refused as out of resources, and
            those after it come.

    Raises:
        PeerUnreachable: nobody answers, or not in time.
        ContextNotAccepted: the peer does not know C-GET.
        PeerFault: the peer breaks the protocol.
    """
    classes = list(dict.fromkeys(sop_class_uids or usual_classes()))[:CLASSES_MAX]
    contexts = [(uids.STUDY_ROOT_GET, scu.UNCOMPRESSED), *_contexts(classes)]
    roles = [RoleSelection(each, scu=False, scp=True) for each in classes]
    async with scu.associate(called, contexts, roles=roles) as association:
        association.messages.data_set_bytes_max = object_bytes_max
        request = dimse.CGetRequest(
            message_id=association.next_message_id(), affected_sop_class_uid=uids.STUDY_ROOT_GET
        )
        await association.send(uids.STUDY_ROOT_GET, request, identifier)
        while True:
            message = await association.next_message()
            match message.command:
                case dimse.CStoreRequest() as store:
                    await _stored(association, store, message, take)
                case dimse.CGetResponse() as response:
                    if category_of(response.status) is not Category.PENDING:
                        return _ended(response, message)
                case _:
                    raise scu.PeerFault("the peer says something else than C-GET")


def _contexts(classes: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """What is proposed for the storage classes: as many contexts for each as there is room for.

    A peer chooses one transfer syntax of a context and has to transcode what it holds in another;
    Orthanc takes the first, and fails where it cannot decode. In a context of its own a compressed
    object comes as it is.

    Standard: PS3.8 9.3.2.2, PS3.4 C.5.3
    """
    alone = min(len(_COMPRESSED), CLASSES_MAX // max(1, len(classes)) - 1)
    together = (*scu.UNCOMPRESSED, *_COMPRESSED[alone:])
    return [
        (each, syntaxes)
        for each in classes
        for syntaxes in (together, *((one,) for one in _COMPRESSED[:alone]))
    ]


async def classes_of(called: scu.Peer, study_instance_uid: str) -> list[str]:
    """SOP classes of what a peer holds of a study; none when it does not say."""
    identifier = DataSet()
    identifier.put("QueryRetrieveLevel", "STUDY")
    identifier.put("StudyInstanceUID", study_instance_uid)
    identifier.put("SOPClassesInStudy")
    try:
        found = await scu.find(called, uids.STUDY_ROOT_FIND, identifier, matches_max=1)
    except (scu.PeerFault, scu.ContextNotAccepted):
        return []
    return list(found[0].texts(_SOP_CLASSES_IN_STUDY)) if found else []


async def _stored(
    association: scu.ClientAssociation, store: dimse.CStoreRequest, message: scu.Message, take: Take
) -> None:
    received = Received(
        store.affected_sop_class_uid,
        store.affected_sop_instance_uid,
        message.transfer_syntax,
        message.data,
    )
    # Of an object that is too large nothing was kept.
    status = Status.OUT_OF_RESOURCES if message.too_large else await take(received)
    response = dimse.CStoreResponse(
        message_id_being_responded_to=store.message_id,
        affected_sop_class_uid=store.affected_sop_class_uid,
        affected_sop_instance_uid=store.affected_sop_instance_uid,
        status=status,
    )
    await association.send(
        message.abstract_syntax, response, transfer_syntax=message.transfer_syntax
    )


def _ended(response: dimse.CGetResponse, message: scu.Message) -> GetProgress:
    said = decode_dataset(message.data, message.transfer_syntax)
    return GetProgress(
        status=response.status,
        completed=response.number_of_completed_suboperations or 0,
        failed=response.number_of_failed_suboperations or 0,
        warnings=response.number_of_warning_suboperations or 0,
        error_comment=response.error_comment,
        failed_sop_instance_uids=said.texts(_FAILED_SOP_INSTANCE_UID_LIST),
    )
