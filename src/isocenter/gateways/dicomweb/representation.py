"""In which transfer syntax an instance is sent: as it is stored, decoded, or encoded anew.

A client that says ``transfer-syntax=*`` (OHIF, dcmjs, most archives) gets the stored bytes. One
that names transfer syntaxes gets one of them or 406; what has no pixels cannot be compressed and
then comes in Explicit VR Little Endian. One that names none (``application/dicom`` alone,
as dicomweb-client and simple scripts do) means Explicit VR Little Endian: whatever can be turned
into it without harm is. What is kept with loss already, cannot be decoded here (video, private and
damaged encodings) or is too large for it comes as it is stored, and its part says in which transfer
syntax: the standard waives the default there, and one such instance must not cost the client the
rest of the study.

Standard: PS3.18 8.7.3, 8.7.8.2
"""

from dataclasses import dataclass
from typing import Final

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.model_renditions import MARK, Rendition
from isocenter.gateways.dicomweb.corrections import corrected_file, corrected_pieces
from isocenter.gateways.dicomweb.errors import NotAcceptable
from isocenter.gateways.dicomweb.pieces import BlobRange, Piece
from isocenter.imaging.codecs import can_decode
from isocenter.imaging.encoders import can_encode
from isocenter.imaging.transcode import transcode_file
from isocenter.infra.blobs import BlobStore
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.coercion import Modification
from isocenter.standards.dicom.part10 import parse_file_meta
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import DICOM, Offer

_DEFAULT: Final = uids.EXPLICIT_VR_LITTLE_ENDIAN


@dataclass(frozen=True, slots=True)
class Representation:
    """How one instance is to be sent.

    Attributes:
        transfer_syntax_uid: what is aimed at.
        is_stored: that is how it is kept, so its bytes are sent untouched.
        is_asked: the client named the transfer syntax, so nothing else will do.
        rendition: what is kept in this transfer syntax beside the instance.
    """

    transfer_syntax_uid: str
    multipart: bool
    is_stored: bool
    is_asked: bool
    rendition: Rendition | None = None


def choose(
    accept: str | None, location: InstanceLocation, *, single: bool, transcoded_bytes_max: int
) -> Representation:
    """How ``location`` is sent to a client that accepts ``accept``.

    Args:
        accept: the header.
        location: the instance.
        single: it may also be sent as a body of its own, without parts.
        transcoded_bytes_max: larger files are not decoded.

    Raises:
        NotAcceptable: in none of the ways that the client accepts.
        MediaTypeError: the header is not well formed.
    """
    stored = location.transfer_syntax_uid
    can = can_decode(stored) and location.size_bytes <= transcoded_bytes_max
    named = {each.transfer_syntax for each in media_types.parse_accept(accept or "")} - {None, "*"}
    syntaxes = [stored]
    if can or _DEFAULT not in named:
        syntaxes.append(_DEFAULT)
    if can:
        syntaxes += sorted(each for each in named if each and can_encode(each))
    offers = [Offer(DICOM, each, multipart=True) for each in dict.fromkeys(syntaxes)]
    if single:
        offers += [Offer(DICOM, each) for each in dict.fromkeys(syntaxes)]
    chosen = media_types.select(accept, offers)
    if chosen is None:
        raise NotAcceptable(
            f"{location.sop_instance_uid} is stored in {stored}: "
            "accept transfer-syntax=* to have it as it is"
        )
    aimed = chosen.transfer_syntax_uid
    waived = uids.transfer_syntax(stored).may_lose_detail or not can
    if waived and aimed not in named:
        aimed = stored
    return Representation(aimed, chosen.multipart, aimed == stored, aimed in named)


def represented(
    blobs: BlobStore,
    location: InstanceLocation,
    representation: Representation,
    modification: Modification | None,
) -> tuple[list[Piece], str]:
    """The file as it is to be sent, with what its header must say now, and its transfer syntax.

    Raises:
        NotAcceptable: it cannot be decoded or encoded, and the client will have nothing else.
    """
    rendition = representation.rendition
    if rendition is not None:
        return _rendered(blobs, rendition, modification), representation.transfer_syntax_uid
    if not representation.is_stored:
        data = blobs.read(location.blob_key)
        try:
            made = transcode_file(data, representation.transfer_syntax_uid)
        except RemoteProtocolError as error:
            if representation.is_asked:
                reason = f"{location.sop_instance_uid} cannot be sent so: {error}"
                raise NotAcceptable(reason) from error
        else:
            syntax = parse_file_meta(made).transfer_syntax_uid
            return [corrected_file(made, modification)], syntax
    return corrected_pieces(blobs, location, modification), location.transfer_syntax_uid


def _rendered(
    blobs: BlobStore, rendition: Rendition, modification: Modification | None
) -> list[Piece]:
    start, length = len(MARK), rendition.size_bytes - len(MARK)
    if modification is None:
        return [BlobRange(rendition.blob_key, start, length)]
    return [corrected_file(blobs.read(rendition.blob_key, start, length), modification)]
