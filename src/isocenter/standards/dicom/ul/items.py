"""User information: what two associates tell each other beside the presentation contexts.

Every sub-item of PS3.7 Annex D.3.3, both ways. Sub-items that are not known here are ignored, as
the standard asks (PS3.8 9.3.1). What to answer to them is decided elsewhere (``negotiation``).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom.ul.syntax import (
    U16,
    U32,
    InvalidPdu,
    Reader,
    Tolerance,
    counted,
    item,
    uid_bytes,
)

USER_INFORMATION: Final = 0x50
_MAXIMUM_LENGTH: Final = 0x51
_IMPLEMENTATION_CLASS_UID: Final = 0x52
_ASYNCHRONOUS_OPERATIONS_WINDOW: Final = 0x53
_ROLE_SELECTION: Final = 0x54
_IMPLEMENTATION_VERSION_NAME: Final = 0x55
_SOP_CLASS_EXTENDED: Final = 0x56
_SOP_CLASS_COMMON_EXTENDED: Final = 0x57
_USER_IDENTITY: Final = 0x58
_USER_IDENTITY_RESPONSE: Final = 0x59

_VERSION_NAME_LENGTH_MAX: Final = 16
_SUB_ITEMS_MAX: Final = 1024  # 128 contexts need at most a few each; more is an attack


class UserIdentityType(IntEnum):
    """What a user identity is made of.

    Standard: PS3.7 Table D.3-14
    """

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JSON_WEB_TOKEN = 5


@dataclass(frozen=True, slots=True)
class AsynchronousOperationsWindow:
    """How many operations may be outstanding; 0 is unlimited.

    Standard: PS3.7 D.3.3.3
    """

    invoked_max: int = 1
    performed_max: int = 1


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Roles of the association requestor for one SOP class.

    Standard: PS3.7 D.3.3.4
    """

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class SopClassExtendedNegotiation:
    """Application information of one SOP class, meaning defined by its service class.

    Standard: PS3.7 D.3.3.5
    """

    sop_class_uid: str
    information: bytes


@dataclass(frozen=True, slots=True)
class SopClassCommonExtendedNegotiation:
    """The service class of a SOP class and the general SOP classes it is like.

    Standard: PS3.7 D.3.3.6
    """

    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who is behind the association. ``kind`` may be a number that the standard does not know yet.

    Standard: PS3.7 D.3.3.7.1
    """

    kind: int
    primary: bytes
    secondary: bytes = b""
    response_requested: bool = False

    def __repr__(self) -> str:
        # Secrets must not reach a log through a repr.
        return f"UserIdentity(kind={self.kind}, response_requested={self.response_requested})"


@dataclass(frozen=True, slots=True)
class UserInformation:
    """The user information item of an A-ASSOCIATE-RQ or -AC.

    ``maximum_length_bytes`` is the longest P-DATA-TF variable field that the sender of the item
    can receive; 0 means no limit. ``user_identity_response`` is only in an -AC, ``user_identity``
    and ``common_extended`` only in an -RQ.

    Standard: PS3.8 9.3.2.3, Annex D
    """

    maximum_length_bytes: int
    implementation_class_uid: str
    implementation_version_name: str = ""
    asynchronous_operations: AsynchronousOperationsWindow | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[SopClassExtendedNegotiation, ...] = ()
    common_extended: tuple[SopClassCommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    user_identity_response: bytes | None = None


# Without the mandatory sub-item nothing is known; 16 KiB is what every DICOM implementation can
# take.
_ASSUMED_MAXIMUM_LENGTH: Final = 16384


def encode_user_information(info: UserInformation) -> bytes:
    """The user information item, sub-items in the order of their types."""
    parts = [
        item(_MAXIMUM_LENGTH, U32.pack(info.maximum_length_bytes)),
        item(_IMPLEMENTATION_CLASS_UID, uid_bytes(info.implementation_class_uid)),
    ]
    window = info.asynchronous_operations
    if window is not None:
        numbers = U16.pack(window.invoked_max) + U16.pack(window.performed_max)
        parts.append(item(_ASYNCHRONOUS_OPERATIONS_WINDOW, numbers))
    parts += [_encode_role(role) for role in info.roles]
    if info.implementation_version_name:
        name = _version_name_bytes(info.implementation_version_name)
        parts.append(item(_IMPLEMENTATION_VERSION_NAME, name))
    for extended in info.extended:
        body = counted(uid_bytes(extended.sop_class_uid)) + extended.information
        parts.append(item(_SOP_CLASS_EXTENDED, body))
    parts += [_encode_common_extended(common) for common in info.common_extended]
    if info.user_identity is not None:
        parts.append(_encode_user_identity(info.user_identity))
    if info.user_identity_response is not None:
        parts.append(item(_USER_IDENTITY_RESPONSE, counted(info.user_identity_response)))
    return item(USER_INFORMATION, b"".join(parts))


def _version_name_bytes(name: str) -> bytes:
    if len(name) > _VERSION_NAME_LENGTH_MAX or not name.isascii() or not name.isprintable():
        raise LocalProtocolError(f"not an implementation version name: {name!r}")
    return name.encode("ascii")


def _encode_role(role: RoleSelection) -> bytes:
    flags = bytes((role.scu, role.scp))
    return item(_ROLE_SELECTION, counted(uid_bytes(role.sop_class_uid)) + flags)


def _encode_common_extended(common: SopClassCommonExtendedNegotiation) -> bytes:
    related = b"".join(counted(uid_bytes(uid)) for uid in common.related_general_sop_class_uids)
    return item(
        _SOP_CLASS_COMMON_EXTENDED,
        counted(uid_bytes(common.sop_class_uid))
        + counted(uid_bytes(common.service_class_uid))
        + counted(related),
    )


def _encode_user_identity(identity: UserIdentity) -> bytes:
    if identity.secondary and identity.kind != UserIdentityType.USERNAME_AND_PASSCODE:
        raise LocalProtocolError("only user name and passcode has a secondary field")
    flags = bytes((identity.kind, identity.response_requested))
    body = flags + counted(identity.primary) + counted(identity.secondary)
    return item(_USER_IDENTITY, body)


def decode_user_information(reader: Reader) -> UserInformation:
    """User information from the body of its item.

    Raises:
        InvalidPdu: a sub-item is cut short or has an impossible value.
    """
    info = UserInformation(maximum_length_bytes=-1, implementation_class_uid="")
    seen: set[int] = set()
    count = 0
    while reader:
        kind, body = reader.item()
        count += 1
        if count > _SUB_ITEMS_MAX:
            raise InvalidPdu("too many user information sub-items")
        decode = _DECODERS.get(kind)
        if decode is None:
            continue
        if kind in seen and kind not in _REPEATABLE:
            reader.tolerated.add(Tolerance.REPEATED_SUB_ITEM)
            continue
        seen.add(kind)
        info = decode(info, body)
    if info.maximum_length_bytes < 0:
        reader.tolerated.add(Tolerance.MISSING_MAXIMUM_LENGTH)
        info = replace(info, maximum_length_bytes=_ASSUMED_MAXIMUM_LENGTH)
    if not info.implementation_class_uid:
        reader.tolerated.add(Tolerance.MISSING_IMPLEMENTATION_CLASS_UID)
    return info


def _maximum_length(info: UserInformation, body: Reader) -> UserInformation:
    return replace(info, maximum_length_bytes=body.u32())


def _implementation_class_uid(info: UserInformation, body: Reader) -> UserInformation:
    return replace(info, implementation_class_uid=body.uid())


def _implementation_version_name(info: UserInformation, body: Reader) -> UserInformation:
    name = bytes(body.rest()).strip(b"\0 ").decode("latin-1")
    if len(name) > _VERSION_NAME_LENGTH_MAX:
        body.tolerated.add(Tolerance.LONG_VERSION_NAME)
    return replace(info, implementation_version_name=name)


def _asynchronous_operations(info: UserInformation, body: Reader) -> UserInformation:
    window = AsynchronousOperationsWindow(invoked_max=body.u16(), performed_max=body.u16())
    return replace(info, asynchronous_operations=window)


def _role(info: UserInformation, body: Reader) -> UserInformation:
    role = RoleSelection(body.counted().uid(), scu=body.u8() == 1, scp=body.u8() == 1)
    return replace(info, roles=(*info.roles, role))


def _extended(info: UserInformation, body: Reader) -> UserInformation:
    negotiation = SopClassExtendedNegotiation(body.counted().uid(), bytes(body.rest()))
    return replace(info, extended=(*info.extended, negotiation))


def _common_extended(info: UserInformation, body: Reader) -> UserInformation:
    sop_class_uid, service_class_uid = body.counted().uid(), body.counted().uid()
    uids: list[str] = []
    if body:
        related = body.counted()
        while related:
            uids.append(related.counted().uid())
    common = SopClassCommonExtendedNegotiation(sop_class_uid, service_class_uid, tuple(uids))
    return replace(info, common_extended=(*info.common_extended, common))


def _user_identity(info: UserInformation, body: Reader) -> UserInformation:
    kind, response_requested = body.u8(), body.u8() == 1
    primary = bytes(body.counted().rest())
    secondary = bytes(body.counted().rest()) if body else b""
    identity = UserIdentity(kind, primary, secondary, response_requested)
    return replace(info, user_identity=identity)


def _user_identity_response(info: UserInformation, body: Reader) -> UserInformation:
    return replace(info, user_identity_response=bytes(body.counted().rest()))


_REPEATABLE: Final = frozenset({_ROLE_SELECTION, _SOP_CLASS_EXTENDED, _SOP_CLASS_COMMON_EXTENDED})
_DECODERS: Final[dict[int, Callable[[UserInformation, Reader], UserInformation]]] = {
    _MAXIMUM_LENGTH: _maximum_length,
    _IMPLEMENTATION_CLASS_UID: _implementation_class_uid,
    _ASYNCHRONOUS_OPERATIONS_WINDOW: _asynchronous_operations,
    _ROLE_SELECTION: _role,
    _IMPLEMENTATION_VERSION_NAME: _implementation_version_name,
    _SOP_CLASS_EXTENDED: _extended,
    _SOP_CLASS_COMMON_EXTENDED: _common_extended,
    _USER_IDENTITY: _user_identity,
    _USER_IDENTITY_RESPONSE: _user_identity_response,
}
