"""The acceptor's decision on an A-ASSOCIATE-RQ: refuse, or answer each presentation context.

Who may connect is not decided here; the caller says what it offers for each abstract syntax and
whether the association is welcome.

Standard: PS3.8 7.1, 9.3.2 to 9.3.4; PS3.7 Annex D.3
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from isocenter.standards.dicom.ul.items import (
    AsynchronousOperationsWindow,
    RoleSelection,
    SopClassExtendedNegotiation,
    UserInformation,
)
from isocenter.standards.dicom.ul.pdu import (
    DICOM_APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    RejectResult,
    RejectSource,
)
from isocenter.standards.dicom.ul.syntax import is_uid

_PERMANENT, _TRANSIENT = RejectResult.PERMANENT, RejectResult.TRANSIENT
_USER, _ACSE = RejectSource.SERVICE_USER, RejectSource.SERVICE_PROVIDER_ACSE
_PRESENTATION = RejectSource.SERVICE_PROVIDER_PRESENTATION

# A peer that takes fewer bytes at once would make us send one PDU for each handful of bytes.
MAXIMUM_LENGTH_LOWEST: Final = 128


class Refusal:
    """Every refusal of the standard by name.

    Standard: PS3.8 Table 9-21
    """

    NO_REASON: Final = AssociateReject(_PERMANENT, _USER, 1)
    APPLICATION_CONTEXT_NOT_SUPPORTED: Final = AssociateReject(_PERMANENT, _USER, 2)
    CALLING_AE_TITLE_NOT_RECOGNIZED: Final = AssociateReject(_PERMANENT, _USER, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED: Final = AssociateReject(_PERMANENT, _USER, 7)
    PROVIDER_NO_REASON: Final = AssociateReject(_PERMANENT, _ACSE, 1)
    PROTOCOL_VERSION_NOT_SUPPORTED: Final = AssociateReject(_PERMANENT, _ACSE, 2)
    TEMPORARY_CONGESTION: Final = AssociateReject(_TRANSIENT, _PRESENTATION, 1)
    LOCAL_LIMIT_EXCEEDED: Final = AssociateReject(_TRANSIENT, _PRESENTATION, 2)


_REASONS: Final[Mapping[tuple[int, int], str]] = MappingProxyType({
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
})


def describe(reject: AssociateReject) -> str:
    """A refusal in the standard's words."""
    reason = _REASONS.get((reject.source, reject.reason), f"reason {reject.reason}")
    return f"{reason} ({'transient' if reject.result == _TRANSIENT else 'permanent'})"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the acceptor offers for one abstract syntax.

    Attributes:
        transfer_syntaxes: what it can use; ``None`` is any. The requestor's order decides.
        scp: it can be the SCP, which is the usual role of an acceptor.
        scu: it can be the SCU, as in C-GET sub-operations.
    """

    transfer_syntaxes: frozenset[str] | None = None
    scp: bool = True
    scu: bool = False


@dataclass(frozen=True, slots=True)
class LocalInformation:
    """What our side tells about itself in every association.

    ``operations_performed_max`` is how many operations a peer may have outstanding with us.
    """

    implementation_class_uid: str
    implementation_version_name: str
    maximum_length_bytes: int
    operations_performed_max: int = 1


def refusal_of(request: AssociateRequest) -> AssociateReject | None:
    """The refusal that the protocol itself demands, before anyone asks who calls.

    Standard: PS3.8 9.3.2 (protocol version: only bit 0 is tested), Annex A.2.1
    """
    if not request.protocol_version & PROTOCOL_VERSION:
        return Refusal.PROTOCOL_VERSION_NOT_SUPPORTED
    if request.application_context != DICOM_APPLICATION_CONTEXT:
        return Refusal.APPLICATION_CONTEXT_NOT_SUPPORTED
    if 0 < request.user_information.maximum_length_bytes < MAXIMUM_LENGTH_LOWEST:
        return Refusal.PROVIDER_NO_REASON
    return None


def accept(
    request: AssociateRequest,
    local: LocalInformation,
    offer_of: Callable[[str], Offer | ContextResult],
    extend: Callable[[str, bytes], bytes | None] = lambda sop_class_uid, information: None,
    *,
    identity_accepted: bool = False,
) -> AssociateAccept:
    """The A-ASSOCIATE-AC, with one answer for each proposed context in the proposed order.

    Args:
        request: what the peer proposed.
        local: what we tell about ourselves.
        offer_of: our offer for an abstract syntax, or the reason why there is none.
        extend: the answer to extended negotiation of an accepted SOP class; None for silence.
        identity_accepted: the user identity was checked: a peer that asks is told so.
    """
    proposed_roles = {role.sop_class_uid: role for role in request.user_information.roles}
    answers: list[AnsweredContext] = []
    roles: dict[str, RoleSelection] = {}
    for context in request.contexts:
        offer = offer_of(context.abstract_syntax)
        proposed_role = proposed_roles.get(context.abstract_syntax)
        role = _role(proposed_role, offer) if proposed_role and isinstance(offer, Offer) else None
        if role is not None:
            roles[role.sop_class_uid] = role
        answers.append(_answer(context, offer, role))
    accepted = {
        context.abstract_syntax
        for context, answered in zip(request.contexts, answers, strict=True)
        if answered.accepted
    }
    extended = tuple(
        SopClassExtendedNegotiation(each.sop_class_uid, information)
        for each in request.user_information.extended
        if each.sop_class_uid in accepted
        and (information := extend(each.sop_class_uid, each.information)) is not None
    )
    return AssociateAccept(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        reserved=request.reserved,
        contexts=tuple(answers),
        user_information=replace(
            _answer_information(request.user_information, local, tuple(roles.values())),
            extended=extended,
            # PS3.7 D.3.3.7.2: empty for names, passcodes and tokens; silence about an identity
            # that nobody looked at.
            user_identity_response=b""
            if identity_accepted and _wants_identity_response(request.user_information)
            else None,
        ),
    )


def _role(proposed: RoleSelection, offer: Offer) -> RoleSelection:
    # The requestor's SCU needs our SCP and the other way round (PS3.7 Table D.3-11).
    return RoleSelection(
        proposed.sop_class_uid, scu=proposed.scu and offer.scp, scp=proposed.scp and offer.scu
    )


def _answer(
    context: ProposedContext, offer: Offer | ContextResult, role: RoleSelection | None
) -> AnsweredContext:
    syntaxes = context.transfer_syntaxes
    # The syntax of a refused context means nothing, but the item is never absent (PS3.8 9.3.3.2).
    first = syntaxes[0] if syntaxes else ""
    if not isinstance(offer, Offer):
        return AnsweredContext(context.context_id, offer, first)
    usable = offer.scp if role is None else role.scu or role.scp
    if not usable:
        return AnsweredContext(context.context_id, ContextResult.USER_REJECTION, first)
    allowed = offer.transfer_syntaxes
    for uid in syntaxes:
        if is_uid(uid) and (allowed is None or uid in allowed):
            return AnsweredContext(context.context_id, ContextResult.ACCEPTANCE, uid)
    return AnsweredContext(context.context_id, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, first)


def _answer_information(
    proposed: UserInformation, local: LocalInformation, roles: tuple[RoleSelection, ...]
) -> UserInformation:
    window = proposed.asynchronous_operations
    return UserInformation(
        maximum_length_bytes=local.maximum_length_bytes,
        implementation_class_uid=local.implementation_class_uid,
        implementation_version_name=local.implementation_version_name,
        asynchronous_operations=None if window is None else _window(window, local),
        roles=roles,
    )


def _window(
    proposed: AsynchronousOperationsWindow, local: LocalInformation
) -> AsynchronousOperationsWindow:
    # What the requestor invokes we perform. We invoke nothing in parallel ourselves; 0 is
    # unlimited.
    most = local.operations_performed_max
    performed = min(proposed.invoked_max or most, most)
    return AsynchronousOperationsWindow(invoked_max=performed, performed_max=1)


def _wants_identity_response(proposed: UserInformation) -> bool:
    return proposed.user_identity is not None and proposed.user_identity.response_requested
