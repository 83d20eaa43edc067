"""The C-STORE sub-operations of a C-GET: on the caller's own association, where it is the SCP.

Standard: PS3.4 C.4.3.3.1, PS3.7 D.3.3.4 (role selection)
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import ClassVar

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse.association import Association
from isocenter.gateways.dimse.outgoing import Outgoing, Piece
from isocenter.gateways.dimse.retrieve_job import DataSetPieces
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.messages import CStoreRequest


class CallerGone(IsocenterError):
    """The association of the caller has ended, or it does not answer any more."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class GetChannel:
    """The caller's association, for the SOP classes of which it is the SCP.

    Args:
        association: of the caller.
        answer_timeout_s: for each piece of an object to be taken, and for its answer.
    """

    def __init__(self, association: Association, *, answer_timeout_s: float) -> None:
        self._association = association
        self._answer_timeout_s = answer_timeout_s
        roles = association.agreed.roles if association.agreed else ()
        scp_of = {each.sop_class_uid for each in roles if each.scp}
        self._contexts = {
            (context.abstract_syntax, context.transfer_syntax): context.context_id
            for context in association.contexts.values()
            if context.abstract_syntax in scp_of
        }

    def carries(self, sop_class_uid: str) -> bool:
        """Always: there is no other association."""
        del sop_class_uid
        return True

    def accepted(self, sop_class_uid: str) -> frozenset[str]:
        """What the caller takes."""
        return frozenset(
            syntax for abstract_syntax, syntax in self._contexts if abstract_syntax == sop_class_uid
        )

    async def store(
        self, instance: Outgoing, transfer_syntax_uid: str, pieces: DataSetPieces
    ) -> int:
        """The caller's status. Raises ``CallerGone``."""
        association = self._association
        request = CStoreRequest(
            message_id=association.next_message_id(),
            affected_sop_class_uid=instance.sop_class_uid,
            affected_sop_instance_uid=instance.sop_instance_uid,
        )
        context_id = self._contexts[instance.sop_class_uid, transfer_syntax_uid]
        try:
            async with asyncio.timeout(self._answer_timeout_s) as deadline:
                response = await association.request_streamed(
                    context_id, request, self._prolonged(deadline, pieces)
                )
        except TimeoutError as error:
            association.abort()
            raise CallerGone("the caller does not answer") from error
        except IsocenterError:
            # Half an object was sent.
            association.abort()
            raise
        if not isinstance(response, dimse.CStoreResponse):
            raise CallerGone("the association of the caller has ended")
        return response.status

    async def _prolonged(
        self, deadline: asyncio.Timeout, pieces: DataSetPieces
    ) -> AsyncIterator[Piece]:
        """The pieces; each one that is asked for shows that the caller took the one before."""
        loop = asyncio.get_running_loop()
        if isinstance(pieces, AsyncIterable):
            async for piece in pieces:
                deadline.reschedule(loop.time() + self._answer_timeout_s)
                yield piece
        else:
            for piece in pieces:
                deadline.reschedule(loop.time() + self._answer_timeout_s)
                yield piece
