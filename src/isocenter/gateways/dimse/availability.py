"""Instance Availability Notification as SCU: tells a peer which instances can be had here.

Standard: PS3.4 Annex R
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final, Literal

from isocenter.domain.archive.model import InstanceLocation
from isocenter.gateways.dimse import scu
from isocenter.infra.ids import new_uid
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Category, category_of
from isocenter.standards.dicom.key_object import Reference
from isocenter.standards.dicom.values import DataSet

INSTANCE_AVAILABILITY_NOTIFICATION: Final = "1.2.840.10008.5.1.4.33"


@dataclass(frozen=True, slots=True)
class Available:
    """An instance, and whether it can be had here: the value of Instance Availability."""

    reference: Reference
    availability: Literal["ONLINE", "UNAVAILABLE"]


def online(instances: Iterable[InstanceLocation]) -> list[Available]:
    """Instances that can be had."""
    return [
        Available(
            Reference(
                each.study_instance_uid,
                each.series_instance_uid,
                each.sop_class_uid,
                each.sop_instance_uid,
            ),
            "ONLINE",
        )
        for each in instances
    ]


def unavailable(references: Iterable[Reference]) -> list[Available]:
    """Instances that were rejected (IHE RAD TF-3 4.49.4.1.2.2)."""
    return [Available(each, "UNAVAILABLE") for each in references]


async def notify(called: scu.Peer, instances: Sequence[Available], *, ae_title: str) -> str:
    """Tells ``called`` of a study's instances; why it does not want to know, or nothing.

    Args:
        called: the peer.
        instances: of one study.
        ae_title: ours, from which they can be retrieved.

    Raises:
        IsocenterError: nobody answers, or the class is not accepted.
    """
    contexts = [(INSTANCE_AVAILABILITY_NOTIFICATION, scu.UNCOMPRESSED)]
    async with scu.associate(called, contexts) as association:
        request = dimse.NCreateRequest(
            message_id=association.next_message_id(),
            affected_sop_class_uid=INSTANCE_AVAILABILITY_NOTIFICATION,
            affected_sop_instance_uid=new_uid(),
            has_data_set=True,
        )
        response, _ = await association.request(
            INSTANCE_AVAILABILITY_NOTIFICATION, request, encode(instances, ae_title=ae_title)
        )
    if category_of(response.status) in {Category.SUCCESS, Category.WARNING}:
        return ""
    return f"the notification was answered with status {response.status:04X}H"


def encode(instances: Sequence[Available], *, ae_title: str) -> DataSet:
    """The data set of an N-CREATE.

    Standard: PS3.4 Table R.3.2-1
    """
    data_set = DataSet()
    data_set.put("ReferencedPerformedProcedureStepSequence")
    data_set.put("StudyInstanceUID", instances[0].reference.study_instance_uid)
    of_series = attrgetter("reference.series_instance_uid")
    series: list[DataSet] = []
    for series_instance_uid, members in groupby(sorted(instances, key=of_series), key=of_series):
        item = DataSet()
        item.put("SeriesInstanceUID", series_instance_uid)
        item.put("ReferencedSOPSequence", *(_reference(each, ae_title) for each in members))
        series.append(item)
    data_set.put("ReferencedSeriesSequence", *series)
    return data_set


def _reference(instance: Available, ae_title: str) -> DataSet:
    item = DataSet()
    item.put("ReferencedSOPClassUID", instance.reference.sop_class_uid)
    item.put("ReferencedSOPInstanceUID", instance.reference.sop_instance_uid)
    item.put("InstanceAvailability", instance.availability)
    item.put("RetrieveAETitle", ae_title)
    return item
