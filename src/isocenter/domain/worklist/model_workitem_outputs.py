"""What was made for a scheduled procedure step, as its workitem says it once the step is done.

Two sources know it: the archive, and the modality's performed procedure step, which may name what
is still on its way. Each series is one item, with where it can be retrieved. A workitem that has
ended says nothing new (PS3.4 CC.2.1.3): what comes later is found in the study.

Standard: PS3.4 Table CC.2.5-3 (0040,4033); PS3.3 Table 10-3b, C.30.3
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from isocenter.standards.dicom.values import DataSet, Element

INSTANCES_MAX: Final = 5_000
"""Of one workitem: whoever looks for more of them reads the study."""

_SERIES: Final = "00400340"  # Performed Series Sequence
_SERIES_INSTANCE_UID: Final = "0020000E"
_RETRIEVE_AE_TITLE: Final = "00080054"
# Referenced Image Sequence, Referenced Non-Image Composite SOP Instance Sequence
_REFERENCES: Final = ("00081140", "00400220")
_CLASS, _INSTANCE = "00081150", "00081155"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSeries:
    """A series with its objects.

    Attributes:
        instances: SOP Class UID and SOP Instance UID of each.
        retrieve_ae_title: who has it, for DIMSE; empty: nobody known.
        retrieve_url: of the series in DICOMweb; empty: none.
    """

    study_instance_uid: str
    series_instance_uid: str
    instances: tuple[tuple[str, str], ...]
    retrieve_ae_title: str
    retrieve_url: str = ""


def series_said(
    attributes: Iterable[Mapping[str, Any]], study_instance_uid: str
) -> list[MadeSeries]:
    """The series that performed procedure steps name, given as the DICOM JSON model.

    What is not said as it has to be is passed over: others count on it less than on the images.

    Standard: PS3.4 Table F.7.2-1
    """
    found: list[MadeSeries] = []
    for each in attributes:
        for item in _items(each, _SERIES):
            uid = _text(item, _SERIES_INSTANCE_UID)
            references = [one for tag in _REFERENCES for one in _items(item, tag)]
            pairs = [(_text(one, _CLASS), _text(one, _INSTANCE)) for one in references]
            instances = tuple(pair for pair in pairs if all(pair))
            if uid and instances:
                made = MadeSeries(
                    study_instance_uid=study_instance_uid,
                    series_instance_uid=uid,
                    instances=instances,
                    retrieve_ae_title=_text(item, _RETRIEVE_AE_TITLE),
                )
                found.append(made)
    return found


def outputs(archived: Sequence[MadeSeries], said: Sequence[MadeSeries]) -> list[MadeSeries]:
    """What a step made: the series that its modality named, else all that the archive has.

    What the archive has of a series is retrieved there, and so is what is on its way to it.
    """
    if not said:
        return list(archived)
    known = {each.series_instance_uid: each for each in archived}
    found: dict[str, MadeSeries] = {}
    for each in said:
        before = found.get(each.series_instance_uid) or known.get(each.series_instance_uid) or each
        instances = dict.fromkeys((*before.instances, *each.instances))
        found[each.series_instance_uid] = MadeSeries(
            study_instance_uid=before.study_instance_uid,
            series_instance_uid=each.series_instance_uid,
            instances=tuple(instances),
            retrieve_ae_title=before.retrieve_ae_title,
            retrieve_url=before.retrieve_url,
        )
    return list(found.values())


def output_information(made: Sequence[MadeSeries]) -> Element:
    """The Output Information Sequence; empty where there is nothing, or too much to be listed."""
    named = [each for each in made if each.instances and _retrievals(each)]
    if sum(len(each.instances) for each in named) > INSTANCES_MAX:
        return Element("SQ")
    return Element("SQ", tuple(map(_item, named)))


def _item(made: MadeSeries) -> DataSet:
    item = DataSet()
    item.put("TypeOfInstances", "DICOM")
    item.put("StudyInstanceUID", made.study_instance_uid)
    item.put("SeriesInstanceUID", made.series_instance_uid)
    references: list[DataSet] = []
    for sop_class_uid, sop_instance_uid in made.instances:
        reference = DataSet()
        reference.put("ReferencedSOPClassUID", sop_class_uid)
        reference.put("ReferencedSOPInstanceUID", sop_instance_uid)
        references.append(reference)
    item.put("ReferencedSOPSequence", *references)
    for keyword, retrieval in _retrievals(made).items():
        item.put(keyword, retrieval)
    return item.sorted()


def _retrievals(made: MadeSeries) -> dict[str, DataSet]:
    """How a series is had, by the sequence that says so. One of them has to be there."""
    found: dict[str, DataSet] = {}
    if made.retrieve_ae_title:
        found["DICOMRetrievalSequence"] = DataSet()
        found["DICOMRetrievalSequence"].put("RetrieveAETitle", made.retrieve_ae_title)
    if made.retrieve_url:
        found["WADORSRetrievalSequence"] = DataSet()
        found["WADORSRetrievalSequence"].put("RetrieveURL", made.retrieve_url)
    return found


def _items(data: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    return [
        cast("Mapping[str, Any]", each) for each in _values(data, tag) if isinstance(each, Mapping)
    ]


def _text(data: Mapping[str, Any], tag: str) -> str:
    return next((each for each in _values(data, tag) if isinstance(each, str)), "")


def _values(data: Mapping[str, Any], tag: str) -> list[Any]:
    attribute = data.get(tag)
    found = cast("Mapping[str, Any]", attribute).get("Value") if attribute else None
    return cast("list[Any]", found) if isinstance(found, list) else []
