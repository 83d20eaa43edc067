"""The data sets of storage commitment: what is asked, and what is answered.

Standard: PS3.4 J.3.2, J.3.3
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicom import uids
from isocenter.standards.dicom.values import DataSet

STORAGE_COMMITMENT_PUSH: Final = "1.2.840.10008.1.20.1"
WELL_KNOWN_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
REQUEST_COMMITMENT: Final = 1  # Action Type ID
ALL_COMMITTED: Final = 1  # Event Type ID
SOME_FAILED: Final = 2
REFERENCES_MAX: Final = 50_000

_TRANSACTION_UID: Final = 0x0008_1195
_REFERENCED_SOP_SEQUENCE: Final = 0x0008_1199
_FAILED_SOP_SEQUENCE: Final = 0x0008_1198
_FAILURE_REASON: Final = 0x0008_1197
_REFERENCED_SOP_CLASS_UID: Final = 0x0008_1150
_REFERENCED_SOP_INSTANCE_UID: Final = 0x0008_1155
_REASONS: Final = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}

Reference = tuple[str, str]
"""SOP class UID and SOP instance UID."""


@dataclass(frozen=True, slots=True)
class Result:
    """An N-EVENT-REPORT: what is committed, and what is not with its Failure Reason."""

    transaction_uid: str
    committed: Sequence[Reference]
    failed: Sequence[tuple[Reference, int]]

    @property
    def event_type_id(self) -> int:
        """Which event it is.

        Standard: PS3.4 Table J.3-2
        """
        return SOME_FAILED if self.failed else ALL_COMMITTED


def references_of(data_set: DataSet) -> list[Reference] | None:
    """What an N-ACTION asks commitment for, each once; None when an item does not name it."""
    found: dict[Reference, None] = {}
    for item in data_set.sequence(_REFERENCED_SOP_SEQUENCE):
        reference = _reference(item)
        if not all(uids.is_valid(each) for each in reference):
            return None
        found[reference] = None
    return list(found)


def transaction_uid_of(data_set: DataSet) -> str:
    """The transaction UID; "" without a usable one."""
    uid = data_set.text(_TRANSACTION_UID)
    return uid if uids.is_valid(uid) else ""


def encode_request(transaction_uid: str, references: Sequence[Reference]) -> DataSet:
    """The data set of an N-ACTION.

    Standard: PS3.4 Table J.3-1
    """
    data_set = DataSet()
    data_set.put(_TRANSACTION_UID, transaction_uid)
    data_set.put(_REFERENCED_SOP_SEQUENCE, *map(_item, references))
    return data_set


def encode_result(result: Result) -> DataSet:
    """The data set of an N-EVENT-REPORT.

    Standard: PS3.4 Table J.3-2
    """
    data_set = DataSet()
    data_set.put(_TRANSACTION_UID, result.transaction_uid)
    if result.committed:
        data_set.put(_REFERENCED_SOP_SEQUENCE, *map(_item, result.committed))
    failures: list[DataSet] = []
    for reference, reason in result.failed:
        failures.append(_item(reference))
        failures[-1].put(_FAILURE_REASON, reason)
    if failures:
        data_set.put(_FAILED_SOP_SEQUENCE, *failures)
    return data_set


def result_of(data_set: DataSet) -> Result:
    """What an N-EVENT-REPORT says."""
    return Result(
        transaction_uid_of(data_set),
        [_reference(item) for item in data_set.sequence(_REFERENCED_SOP_SEQUENCE)],
        [
            (_reference(item), item.number(_FAILURE_REASON) or 0)
            for item in data_set.sequence(_FAILED_SOP_SEQUENCE)
        ],
    )


def describe_failure(reason: int) -> str:
    """A Failure Reason in the standard's words.

    Standard: PS3.3 C.14.1.1
    """
    return _REASONS.get(reason, f"reason {reason:04X}H")


def _reference(item: DataSet) -> Reference:
    return item.text(_REFERENCED_SOP_CLASS_UID), item.text(_REFERENCED_SOP_INSTANCE_UID)


def _item(reference: Reference) -> DataSet:
    item = DataSet()
    item.put(_REFERENCED_SOP_CLASS_UID, reference[0])
    item.put(_REFERENCED_SOP_INSTANCE_UID, reference[1])
    return item
