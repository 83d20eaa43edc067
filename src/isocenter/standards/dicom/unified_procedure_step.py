"""Unified Procedure Steps: what must be said to create, set and end one, and when it may be done.

The tables are PS3.4 Tables CC.1.1-2 and CC.2.5-3. Two things that Table CC.2.5-3 asks of whoever
creates a step are not insisted on: attributes of type 2 that are absent are created empty
(``ABSENT_IS_EMPTY``), and an absent Transaction UID is an empty one. Which events follow from a
change is in ``unified_procedure_step_events``.

Standard: PS3.4 CC.1.1, CC.2.1 to CC.2.6; PS3.3 B.26, C.30
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum, StrEnum
from typing import Final

from isocenter.standards.dicom import uids
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.performed_step import Fault
from isocenter.standards.dicom.values import DataSet, Element
from isocenter.standards.dicom.values_temporal import parse_date_time

PUSH: Final = "1.2.840.10008.5.1.4.34.6.1"
WATCH: Final = "1.2.840.10008.5.1.4.34.6.2"
PULL: Final = "1.2.840.10008.5.1.4.34.6.3"
EVENT: Final = "1.2.840.10008.5.1.4.34.6.4"
QUERY: Final = "1.2.840.10008.5.1.4.34.6.5"
# Well-known instances that stand for all steps, and for those that fit a filter (CC.2.3.2).
GLOBAL_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5"
FILTERED_GLOBAL_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5.1"
WELL_KNOWN: Final = frozenset({GLOBAL_SUBSCRIPTION, FILTERED_GLOBAL_SUBSCRIPTION})

SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
TRANSACTION_UID: Final = 0x00081195
PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
PATIENT_BIRTH_DATE: Final = 0x00100030
STUDY_INSTANCE_UID: Final = 0x0020000D
START: Final = 0x00404005
EXPIRATION: Final = 0x00404008
MODIFICATION: Final = 0x00404010
EXPECTED_COMPLETION: Final = 0x00404011
STATION_NAMES: Final = 0x00404025
HUMAN_PERFORMERS: Final = 0x00404034
OUTPUT_INFORMATION: Final = 0x00404033
INPUT_READINESS: Final = 0x00404041
CANCELLATION: Final = 0x00404052
STATE: Final = 0x00741000
PROGRESS_INFORMATION: Final = 0x00741002
DISCONTINUATION_REASON: Final = 0x0074100E
CONTACT_URI: Final = 0x0074100A
CONTACT_DISPLAY_NAME: Final = 0x0074100C
PRIORITY: Final = 0x00741200
WORKLIST_LABEL: Final = 0x00741202
LABEL: Final = 0x00741204
PERFORMED_PROCEDURE: Final = 0x00741216
DELETION_LOCK: Final = 0x00741230
RECEIVING_AE: Final = 0x00741234
REQUESTING_AE: Final = 0x00741236
CANCELLATION_REASON: Final = 0x00741238
_WORKITEM_CODE: Final = 0x00404018
_REPLACED_STEPS: Final = 0x00741224
_REFERENCED_REQUESTS: Final = 0x0040A370
_PERFORMED_STATION_NAMES: Final = 0x00404028
_PERFORMED_WORKITEM_CODE: Final = 0x00404019
_PERFORMED_START: Final = 0x00404050
_PERFORMED_END: Final = 0x00404051
_CODE_VALUES: Final = (0x00080100, 0x00080119, 0x00080120)
_CODE_SCHEME: Final = 0x00080102
_CODE_MEANING: Final = 0x00080104


class State(StrEnum):
    """Where a step is. The last two are final.

    Standard: PS3.4 Table CC.1.1-1
    """

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Whether nothing may be said of the step any more."""
        return self in {State.COMPLETED, State.CANCELED}


class ActionType(IntEnum):
    """What an N-ACTION asks for.

    Standard: PS3.4 Tables CC.2.1-1, CC.2.2-1, CC.2.3-1
    """

    CHANGE_STATE = 1
    REQUEST_CANCEL = 2
    SUBSCRIBE = 3
    UNSUBSCRIBE = 4
    SUSPEND_GLOBAL_SUBSCRIPTION = 5


class UpsStatus(IntEnum):
    """The statuses that this service class has of its own.

    Standard: PS3.4 Tables CC.2.1-2, CC.2.2-2, CC.2.3-3, CC.2.5-4, CC.2.6-1, CC.2.7-1
    """

    CREATED_WITH_MODIFICATIONS = 0xB300
    DELETION_LOCK_NOT_GRANTED = 0xB301
    ALREADY_CANCELED = 0xB304
    COERCED = 0xB305
    ALREADY_IN_STATE_COMPLETED = 0xB306
    MAY_NO_LONGER_BE_UPDATED = 0xC300
    WRONG_TRANSACTION_UID = 0xC301
    ALREADY_IN_PROGRESS = 0xC302
    SCHEDULED_ONLY_BY_CREATION = 0xC303
    FINAL_STATE_REQUIREMENTS_NOT_MET = 0xC304
    NO_SUCH_STEP = 0xC307
    RECEIVING_AE_UNKNOWN = 0xC308
    NOT_CREATED_SCHEDULED = 0xC309
    NOT_IN_PROGRESS = 0xC310
    ALREADY_COMPLETED = 0xC311
    PERFORMER_CANNOT_BE_CONTACTED = 0xC312
    PERFORMER_CHOOSES_NOT_TO_CANCEL = 0xC313
    ACTION_NOT_APPROPRIATE = 0xC314


def status_of_change(
    known: State, transaction_uid: str | None, wanted: State, given_transaction_uid: str
) -> int:
    """What is answered to a request to change the state: 0 when it may be, as far as that goes.

    Args:
        known: the state that the step is in.
        transaction_uid: the one that it was claimed with, None while it is scheduled.
        wanted: the state that is asked for.
        given_transaction_uid: the one in the request, "" for none.

    Standard: PS3.4 Table CC.1.1-2
    """
    if wanted is State.SCHEDULED:
        return UpsStatus.SCHEDULED_ONLY_BY_CREATION
    if not uids.is_valid(given_transaction_uid) or (
        transaction_uid is not None and transaction_uid != given_transaction_uid
    ):
        return UpsStatus.WRONG_TRANSACTION_UID
    if known.is_final:
        return _ALREADY[known] if wanted is known else UpsStatus.MAY_NO_LONGER_BE_UPDATED
    if wanted is State.IN_PROGRESS:
        return UpsStatus.ALREADY_IN_PROGRESS if known is wanted else Status.SUCCESS
    return Status.SUCCESS if known is State.IN_PROGRESS else UpsStatus.NOT_IN_PROGRESS


_ALREADY: Final[Mapping[State, UpsStatus]] = {
    State.COMPLETED: UpsStatus.ALREADY_IN_STATE_COMPLETED,
    State.CANCELED: UpsStatus.ALREADY_CANCELED,
}


def status_of_update(
    known: State, transaction_uid: str | None, given_transaction_uid: str | None
) -> int:
    """What is answered to a request to set attributes: 0 when the step may be set.

    Standard: PS3.4 CC.2.6.2, CC.2.6.3, Table CC.2.6-1
    """
    if known.is_final:
        return UpsStatus.MAY_NO_LONGER_BE_UPDATED
    if known is State.SCHEDULED:
        return UpsStatus.NOT_IN_PROGRESS if given_transaction_uid else Status.SUCCESS
    if given_transaction_uid != transaction_uid:
        return UpsStatus.WRONG_TRANSACTION_UID
    return Status.SUCCESS


# Type 1 when a step is created.
_VALUED_AT_CREATION: Final = (PRIORITY, LABEL, START, INPUT_READINESS, STATE)
# Type 2 when a step is created; absent, they are created empty.
ABSENT_IS_EMPTY: Final = (
    0x00081080, 0x00081084, PATIENT_NAME, PATIENT_ID, 0x00100021, 0x00100024, PATIENT_BIRTH_DATE,
    0x00100040, 0x00101002, STUDY_INSTANCE_UID, 0x00380010, 0x00380014, 0x00400400, _WORKITEM_CODE,
    0x00404021, STATION_NAMES, 0x00404026, 0x00404027, _REFERENCED_REQUESTS, PROGRESS_INFORMATION,
    0x00741210, PERFORMED_PROCEDURE,
)  # fmt: skip
_EMPTY_AT_CREATION: Final = (TRANSACTION_UID, PROGRESS_INFORMATION, PERFORMED_PROCEDURE)
NOT_ALLOWED_IN_SET: Final = (
    SOP_CLASS_UID, SOP_INSTANCE_UID, 0x00081080, 0x00081084, PATIENT_NAME, PATIENT_ID, 0x00100021,
    0x00100024, PATIENT_BIRTH_DATE, 0x00100040, 0x00380010, 0x00380014, _REFERENCED_REQUESTS, STATE,
    _REPLACED_STEPS,
)  # fmt: skip
"""Attributes that keep the value of their creation, or are changed by other means."""
# With a value, if at all, when a step is set.
_VALUED_IN_SET: Final = (PRIORITY, LABEL, WORKLIST_LABEL, START, 0x00404011, INPUT_READINESS)
# PS3.3 Tables C.30.1-1, C.30.2-1
_ENUMERATED: Final[Mapping[int, frozenset[str]]] = {
    PRIORITY: frozenset({"HIGH", "MEDIUM", "LOW"}),
    INPUT_READINESS: frozenset({"INCOMPLETE", "UNAVAILABLE", "READY"}),
}
_MOMENTS: Final = (START, EXPIRATION, EXPECTED_COMPLETION)
_CODE_SEQUENCES: Final = (
    _WORKITEM_CODE, STATION_NAMES, 0x00404026, 0x00404027, DISCONTINUATION_REASON, 0x00404009,
    _PERFORMED_STATION_NAMES, 0x00404029, 0x00404030, _PERFORMED_WORKITEM_CODE,
)  # fmt: skip
_ITEMS_WITH_CODES: Final = (HUMAN_PERFORMERS, PROGRESS_INFORMATION, PERFORMED_PROCEDURE)


def creation_fault(attributes: DataSet) -> Fault | None:
    """What is wrong with the attributes of an N-CREATE; None: nothing.

    Standard: PS3.4 CC.2.5.2, CC.2.5.3, Tables CC.2.5-3, CC.2.5-4; PS3.7 10.1.5.1.6
    """
    absent = tuple(tag for tag in _VALUED_AT_CREATION if tag not in attributes)
    if absent:
        return Fault(Status.MISSING_ATTRIBUTE, absent, "missing attribute")
    empty = tuple(tag for tag in _VALUED_AT_CREATION if not has_value(attributes, tag))
    if empty:
        return Fault(Status.MISSING_ATTRIBUTE_VALUE, empty, "missing attribute value")
    filled = tuple(tag for tag in _EMPTY_AT_CREATION if has_value(attributes, tag))
    if filled:
        return Fault(Status.INVALID_ATTRIBUTE_VALUE, filled, "shall be empty at creation")
    return _value_fault(attributes)


def update_fault(changes: DataSet, known: DataSet) -> Fault | None:
    """What is wrong with the attributes of an N-SET; None: nothing.

    Those that may not be set may be there with the value that they have.

    Standard: PS3.4 CC.2.6.2, Table CC.2.5-3
    """
    fixed = tuple(
        tag
        for tag in NOT_ALLOWED_IN_SET
        if tag in changes and _values(changes, tag) != _values(known, tag)
    )
    if fixed:
        return Fault(Status.NO_SUCH_ATTRIBUTE, fixed, "not allowed in N-SET")
    empty = tuple(tag for tag in _VALUED_IN_SET if tag in changes and not has_value(changes, tag))
    if empty:
        return Fault(Status.MISSING_ATTRIBUTE_VALUE, empty, "missing attribute value")
    return _value_fault(changes)


def _values(attributes: DataSet, tag: int) -> object:
    element = attributes.get(tag, Element(""))
    return element.values if has_value(attributes, tag) else ()


def has_value(attributes: DataSet, tag: int) -> bool:
    """Whether the attribute is there with a value, or an item."""
    element = attributes.get(tag)
    return element is not None and any(value != "" for value in element.values)


def _value_fault(attributes: DataSet) -> Fault | None:
    wrong = [
        tag
        for tag, values in _ENUMERATED.items()
        if tag in attributes and attributes.text(tag) not in values
    ]
    wrong += [
        tag
        for tag in _MOMENTS
        if attributes.text(tag) and parse_date_time(attributes.text(tag)) is None
    ]
    study = attributes.text(STUDY_INSTANCE_UID)
    if study and not uids.is_valid(study):
        wrong.append(STUDY_INSTANCE_UID)
    if wrong:
        return Fault(Status.INVALID_ATTRIBUTE_VALUE, tuple(wrong), "invalid value")
    unsaid = tuple(dict.fromkeys(_codes_without_value(attributes)))
    if unsaid:
        return Fault(Status.MISSING_ATTRIBUTE_VALUE, unsaid, "a code lacks value or meaning")
    return None


def _codes_without_value(attributes: DataSet) -> Iterator[int]:
    """Sequences with an item that is no code.

    Standard: PS3.4 Table CC.2.5-2a
    """
    for tag in _CODE_SEQUENCES:
        for code in attributes.sequence(tag):
            named = any(has_value(code, each) for each in _CODE_VALUES)
            if not named or not has_value(code, _CODE_MEANING):
                yield tag
    for tag in _ITEMS_WITH_CODES:
        for item in attributes.sequence(tag):
            yield from _codes_without_value(item)


def missing_at_end(attributes: DataSet, state: State) -> tuple[int, ...]:
    """Attributes without which a step may not be completed or canceled; none: it may be.

    Standard: PS3.4 CC.2.5.1.1, Table CC.2.5-3 (Final State)
    """
    always = _lacking(attributes, (PRIORITY, START, INPUT_READINESS))
    if state is State.COMPLETED:
        performed = attributes.sequence(PERFORMED_PROCEDURE)
        if not performed:
            return (*always, PERFORMED_PROCEDURE)
        return (*always, *(tag for item in performed for tag in _lacking_at_completion(item)))
    progress = attributes.sequence(PROGRESS_INFORMATION)
    if not progress:
        return (*always, PROGRESS_INFORMATION)
    needed = (CANCELLATION, DISCONTINUATION_REASON)
    return (*always, *(tag for item in progress for tag in _lacking(item, needed)))


def _lacking(attributes: DataSet, tags: Iterable[int]) -> list[int]:
    return [tag for tag in tags if not has_value(attributes, tag)]


def _lacking_at_completion(performed: DataSet) -> list[int]:
    needed = (
        _PERFORMED_STATION_NAMES,
        _PERFORMED_START,
        _PERFORMED_WORKITEM_CODE,
        _PERFORMED_END,
    )
    lacking = _lacking(performed, needed)
    # It may have no items, but has to say so.
    return lacking if OUTPUT_INFORMATION in performed else [*lacking, OUTPUT_INFORMATION]


def created(attributes: DataSet, sop_instance_uid: str, worklist_label: str) -> DataSet:
    """The step that an N-CREATE makes of its attributes.

    Standard: PS3.4 CC.2.5.1.3.1, CC.2.5.3, Table CC.2.5-3
    """
    step = DataSet(attributes)
    step.pop(TRANSACTION_UID, None)
    for tag in ABSENT_IS_EMPTY:
        if tag not in step:
            step.put(tag)
    if not has_value(step, WORKLIST_LABEL):
        step.put(WORKLIST_LABEL, worklist_label)
    step.put(SOP_CLASS_UID, PUSH)
    step.put(SOP_INSTANCE_UID, sop_instance_uid)
    step.put(STATE, State.SCHEDULED.value)
    return step.sorted()


def with_cancellation(step: DataSet, request: DataSet, moment: str) -> DataSet:
    """The step with what its final state CANCELED needs.

    Args:
        step: its attributes.
        request: what was said by whoever wanted it canceled; empty when that was its performer.
        moment: the DT value of now, where the step does not say when it was canceled.

    Standard: PS3.4 CC.2.2.3, Table CC.2.5-3 (0040,4052)
    """
    after = DataSet(step)
    progress = DataSet(step.item(PROGRESS_INFORMATION))
    if not has_value(progress, CANCELLATION):
        progress.put(CANCELLATION, moment)
    for tag in (CANCELLATION_REASON, DISCONTINUATION_REASON):
        if has_value(request, tag):
            progress[tag] = request[tag]
    after.put(PROGRESS_INFORMATION, progress.sorted())
    return after


def unspecified_reason() -> DataSet:
    """A Procedure Step Discontinuation Reason for when nobody gave one.

    Standard: PS3.16 CID 9300
    """
    code = DataSet()
    code.put(_CODE_VALUES[0], "110513")
    code.put(_CODE_SCHEME, "DCM")
    code.put(_CODE_MEANING, "Discontinued for unspecified reason")
    return code
