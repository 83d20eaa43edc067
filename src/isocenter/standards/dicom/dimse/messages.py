"""Command sets of every DIMSE service as values. Their bytes are the business of ``command_set``.

Field names are the standard's keywords. ``has_data_set`` is Command Data Set Type: a data set
follows.

Standard: PS3.7 section 9.3 (DIMSE-C), 10.3 (DIMSE-N), Annex E
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final


class Priority(IntEnum):
    """How urgent an operation is.

    Standard: PS3.7 Table 9.3-1
    """

    MEDIUM = 0
    HIGH = 1
    LOW = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CEchoRequest:
    """C-ECHO-RQ."""

    command_field: ClassVar[int] = 0x0030
    message_id: int
    affected_sop_class_uid: str
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CEchoResponse:
    """C-ECHO-RSP."""

    command_field: ClassVar[int] = 0x8030
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    error_comment: str = ""
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreRequest:
    """C-STORE-RQ."""

    command_field: ClassVar[int] = 0x0001
    message_id: int
    affected_sop_class_uid: str
    affected_sop_instance_uid: str
    priority: int = Priority.MEDIUM
    move_originator_ae_title: str = ""
    move_originator_message_id: int | None = None
    has_data_set: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreResponse:
    """C-STORE-RSP."""

    command_field: ClassVar[int] = 0x8001
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    affected_sop_instance_uid: str = ""
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CFindRequest:
    """C-FIND-RQ."""

    command_field: ClassVar[int] = 0x0020
    message_id: int
    affected_sop_class_uid: str
    priority: int = Priority.MEDIUM
    has_data_set: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CFindResponse:
    """C-FIND-RSP."""

    command_field: ClassVar[int] = 0x8020
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CMoveRequest:
    """C-MOVE-RQ."""

    command_field: ClassVar[int] = 0x0021
    message_id: int
    affected_sop_class_uid: str
    move_destination: str
    priority: int = Priority.MEDIUM
    has_data_set: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CMoveResponse:
    """C-MOVE-RSP."""

    command_field: ClassVar[int] = 0x8021
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CGetRequest:
    """C-GET-RQ."""

    command_field: ClassVar[int] = 0x0010
    message_id: int
    affected_sop_class_uid: str
    priority: int = Priority.MEDIUM
    has_data_set: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CGetResponse:
    """C-GET-RSP."""

    command_field: ClassVar[int] = 0x8010
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CCancelRequest:
    """C-CANCEL-RQ: ends a C-FIND, C-MOVE or C-GET; it has no response of its own."""

    command_field: ClassVar[int] = 0x0FFF
    message_id_being_responded_to: int
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NEventReportRequest:
    """N-EVENT-REPORT-RQ."""

    command_field: ClassVar[int] = 0x0100
    message_id: int
    affected_sop_class_uid: str
    affected_sop_instance_uid: str
    event_type_id: int
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NEventReportResponse:
    """N-EVENT-REPORT-RSP."""

    command_field: ClassVar[int] = 0x8100
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    affected_sop_instance_uid: str = ""
    event_type_id: int | None = None
    error_comment: str = ""
    error_id: int | None = None
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NGetRequest:
    """N-GET-RQ."""

    command_field: ClassVar[int] = 0x0110
    message_id: int
    requested_sop_class_uid: str
    requested_sop_instance_uid: str
    attribute_identifier_list: tuple[int, ...] = ()
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NGetResponse:
    """N-GET-RSP."""

    command_field: ClassVar[int] = 0x8110
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    affected_sop_instance_uid: str = ""
    attribute_identifier_list: tuple[int, ...] = ()
    error_comment: str = ""
    error_id: int | None = None
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NSetRequest:
    """N-SET-RQ."""

    command_field: ClassVar[int] = 0x0120
    message_id: int
    requested_sop_class_uid: str
    requested_sop_instance_uid: str
    has_data_set: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NSetResponse:
    """N-SET-RSP."""

    command_field: ClassVar[int] = 0x8120
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    affected_sop_instance_uid: str = ""
    attribute_identifier_list: tuple[int, ...] = ()
    error_comment: str = ""
    error_id: int | None = None
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NActionRequest:
    """N-ACTION-RQ."""

    command_field: ClassVar[int] = 0x0130
    message_id: int
    requested_sop_class_uid: str
    requested_sop_instance_uid: str
    action_type_id: int
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NActionResponse:
    """N-ACTION-RSP."""

    command_field: ClassVar[int] = 0x8130
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    affected_sop_instance_uid: str = ""
    action_type_id: int | None = None
    error_comment: str = ""
    error_id: int | None = None
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NCreateRequest:
    """N-CREATE-RQ. Without instance UID the performer makes one."""

    command_field: ClassVar[int] = 0x0140
    message_id: int
    affected_sop_class_uid: str
    affected_sop_instance_uid: str = ""
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NCreateResponse:
    """N-CREATE-RSP."""

    command_field: ClassVar[int] = 0x8140
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    affected_sop_instance_uid: str = ""
    attribute_identifier_list: tuple[int, ...] = ()
    error_comment: str = ""
    error_id: int | None = None
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NDeleteRequest:
    """N-DELETE-RQ."""

    command_field: ClassVar[int] = 0x0150
    message_id: int
    requested_sop_class_uid: str
    requested_sop_instance_uid: str
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NDeleteResponse:
    """N-DELETE-RSP."""

    command_field: ClassVar[int] = 0x8150
    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str = ""
    affected_sop_instance_uid: str = ""
    error_comment: str = ""
    error_id: int | None = None
    has_data_set: bool = False


Request = (
    CEchoRequest
    | CStoreRequest
    | CFindRequest
    | CMoveRequest
    | CGetRequest
    | NEventReportRequest
    | NGetRequest
    | NSetRequest
    | NActionRequest
    | NCreateRequest
    | NDeleteRequest
)
Response = (
    CEchoResponse
    | CStoreResponse
    | CFindResponse
    | CMoveResponse
    | CGetResponse
    | NEventReportResponse
    | NGetResponse
    | NSetResponse
    | NActionResponse
    | NCreateResponse
    | NDeleteResponse
)
Command = Request | Response | CCancelRequest

COMMANDS: Final[tuple[type[Command], ...]] = (
    CEchoRequest, CEchoResponse, CStoreRequest, CStoreResponse, CFindRequest, CFindResponse,
    CMoveRequest, CMoveResponse, CGetRequest, CGetResponse, CCancelRequest,
    NEventReportRequest, NEventReportResponse, NGetRequest, NGetResponse, NSetRequest, NSetResponse,
    NActionRequest, NActionResponse, NCreateRequest, NCreateResponse, NDeleteRequest,
    NDeleteResponse,
)  # fmt: skip
