"""Instance Availability Notification as SCU: tells a peer which instances can be had here.

Standard: PS3.4 Annex R
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from isocenter.domain.archive.model import InstanceLocation
from isocenter.gateways.dimse import scu
from isocenter.infra.ids import new_uid
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Category, category_of
from isocenter.standards.dicom.values import DataSet

INSTANCE_AVAILABILITY_NOTIFICATION: Final = "1.2.840.10008.5.1.4.33"


async def notify(called: scu.Peer, instances: Sequence[InstanceLocation], *, ae_title: str) -> str:
    """Tells ``called`` of a study's instances; why it does not want to know, or nothing.

    Args:
        called: the peer.
        instances: of one study, series by series.
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


def encode(instances: Sequence[InstanceLocation], *, ae_title: str) -> DataSet:
    """The data set of an N-CREATE.

    Standard: PS3.4 Table R.3.2-1
    """
    data_set = DataSet()
    data_set.put("ReferencedPerformedProcedureStepSequence")
    data_set.put("StudyInstanceUID", instances[0].study_instance_uid)
    by_series = groupby(
        sorted(instances, key=attrgetter("series_instance_uid")),
        key=attrgetter("series_instance_uid"),
    )
    series: list[DataSet] = []
    for series_instance_uid, members in by_series:
        item = DataSet()
        item.put("SeriesInstanceUID", series_instance_uid)
        item.put("ReferencedSOPSequence", *(_reference(each, ae_title) for each in members))
        series.append(item)
    data_set.put("ReferencedSeriesSequence", *series)
    return data_set


def _reference(instance: InstanceLocation, ae_title: str) -> DataSet:
    item = DataSet()
    item.put("ReferencedSOPClassUID", instance.sop_class_uid)
    item.put("ReferencedSOPInstanceUID", instance.sop_instance_uid)
    item.put("InstanceAvailability", "ONLINE")
    item.put("RetrieveAETitle", ae_title)
    return item
