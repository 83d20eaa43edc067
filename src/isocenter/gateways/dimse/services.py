"""What an association needs to know of a service, and the two smallest ones: echo and refusal.

The services with a data set of their own are in ``storage`` and ``query``.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from isocenter.gateways.dimse.ports import Grant
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from isocenter.standards.dicom.ul.connection import NegotiatedContext
from isocenter.standards.dicom.ul.negotiation import Offer
from isocenter.standards.dicom.ul.pdu import ContextResult

if TYPE_CHECKING:
    from isocenter.gateways.dimse.association import Association

VERIFICATION: Final = "1.2.840.10008.1.1"


class Receiver(Protocol):
    """Takes the data set of one message piece by piece, then performs the operation."""

    def write(self, data: memoryview | bytes) -> None:
        """The next piece; a view that is gone when this returns."""
        ...

    def finish(self) -> None:
        """The data set is complete: perform, and answer now or later."""
        ...

    def abandon(self) -> None:
        """The association ended in the middle: leave nothing behind."""
        ...


class MessageService(Protocol):
    """One service class as SCP."""

    def offer(self, abstract_syntax: str, grant: Grant) -> Offer | ContextResult | None:
        """What is offered to this peer for an abstract syntax; ``None`` when it is not ours."""
        ...

    def begin(
        self, association: "Association", context: NegotiatedContext, request: dimse.Request
    ) -> Receiver | None:
        """Takes a request, which is counted as outstanding until it is answered.

        Returns the receiver of its data set; ``None`` when the request is answered or being
        answered.
        """
        ...


class EchoService:
    """C-ECHO.

    Standard: PS3.4 Annex A, PS3.7 9.1.5
    """

    _OFFER = Offer(frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN}))

    def offer(self, abstract_syntax: str, grant: Grant) -> Offer | ContextResult | None:
        """Verification is offered to every peer that may associate."""
        return self._OFFER if abstract_syntax == VERIFICATION else None

    def begin(
        self, association: "Association", context: NegotiatedContext, request: dimse.Request
    ) -> Receiver | None:
        """Answers at once."""
        if not isinstance(request, dimse.CEchoRequest):
            return refuse(association, context, request, Status.UNRECOGNIZED_OPERATION)
        response = dimse.CEchoResponse(
            message_id_being_responded_to=request.message_id,
            affected_sop_class_uid=request.affected_sop_class_uid,
            status=Status.SUCCESS,
        )
        association.respond(context.context_id, response)
        return None


class _Discard:
    """Receives a data set that nobody wants, then answers."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[], None]) -> None:
        self._answer = answer

    def write(self, data: memoryview | bytes) -> None:
        """Drops it."""

    def finish(self) -> None:
        """Answers, now that the peer has sent all."""
        self._answer()

    def abandon(self) -> None:
        """Holds nothing."""


_RESPONSES: Final[Mapping[type[dimse.Request], type[dimse.Response]]] = {
    dimse.CEchoRequest: dimse.CEchoResponse,
    dimse.CStoreRequest: dimse.CStoreResponse,
    dimse.CFindRequest: dimse.CFindResponse,
    dimse.CMoveRequest: dimse.CMoveResponse,
    dimse.CGetRequest: dimse.CGetResponse,
    dimse.NEventReportRequest: dimse.NEventReportResponse,
    dimse.NGetRequest: dimse.NGetResponse,
    dimse.NSetRequest: dimse.NSetResponse,
    dimse.NActionRequest: dimse.NActionResponse,
    dimse.NCreateRequest: dimse.NCreateResponse,
    dimse.NDeleteRequest: dimse.NDeleteResponse,
}


def refuse(
    association: "Association",
    context: NegotiatedContext,
    request: dimse.Request,
    status: int,
    comment: str = "",
) -> Receiver | None:
    """Answers a request with a failure, after its data set has been let pass."""
    response = _RESPONSES[type(request)](
        message_id_being_responded_to=request.message_id, status=status, error_comment=comment
    )

    def answer() -> None:
        association.respond(context.context_id, response)

    if request.has_data_set:
        return _Discard(answer)
    answer()
    return None
