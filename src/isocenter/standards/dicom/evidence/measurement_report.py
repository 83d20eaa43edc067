"""Measurements as a structured report of TID 1500, in a Comprehensive SR document.

Lines and points are groups of TID 1501, regions and marks without a number of TID 1410. The
tracking identifiers are those by which viewers built on Cornerstone make a measurement editable
again; others show it as text.

Standard: PS3.16 TID 1500, TID 1501, TID 1410, PS3.3 A.35.3
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicom.evidence import content
from isocenter.standards.dicom.evidence.composite import (
    Making,
    begun,
    evidence,
    predecessors,
    put_content_time,
)
from isocenter.standards.dicom.evidence.content import Code, ImageReference
from isocenter.standards.dicom.values_model import DataSet

COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
_TRACKED_AS: Final = "Cornerstone3DTools@^0.1.0"

_REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")
_MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP: Final = Code("125007", "DCM", "Measurement Group")
_TRACKING_IDENTIFIER: Final = Code("112039", "DCM", "Tracking Identifier")
_TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
_COMMENT: Final = Code("121106", "DCM", "Comment")
_REGION: Final = Code("111030", "DCM", "Image Region")
_SOURCE: Final = Code("260753009", "SCT", "Source")
_LANGUAGE: Final = Code("121049", "DCM", "Language of Content Item and Descendants")
_ENGLISH: Final = Code("en", "RFC5646", "English")
_OBSERVER_TYPE: Final = Code("121005", "DCM", "Observer Type")
_PERSON: Final = Code("121006", "DCM", "Person")
_OBSERVER_NAME: Final = Code("121008", "DCM", "Person Observer Name")
_PROCEDURE_REPORTED: Final = Code("121058", "DCM", "Procedure reported")
_IMAGING: Final = Code("363679005", "SCT", "Imaging procedure")
_DERIVATION: Final = Code("121401", "DCM", "Derivation")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its meaning. ``derivation`` says how it comes from the pixels of a region."""

    name: Code
    value: float
    unit: Code
    derivation: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFinding:
    """One measurement or mark.

    Attributes:
        tool: what was drawn, by Cornerstone's name.
        tracking_uid: the same for the same measurement in every report.
        label: what its author calls it; may be empty.
        comment: text beside it, and how its numbers are to be understood; may be empty.
        region: a closed outline (TID 1410), not lines or points (TID 1501).
        graphic_type: of the coordinates: POINT, MULTIPOINT, POLYLINE, ELLIPSE; one for each of
            ``graphics``.
        graphics: per graphic its points: columns and rows, from 0 at the outer corner of the image.
        quantities: those of a line stand beside its graphic, in the same order.
    """

    tool: str
    tracking_uid: str
    label: str
    comment: str
    region: bool
    graphic_type: str
    graphics: Sequence[Sequence[tuple[float, float]]]
    image: ImageReference
    quantities: Sequence[Quantity]


def measurement_report(
    making: Making,
    findings: Sequence[MeasuredFinding],
    *,
    study_instance_uid: str,
    earlier: Sequence[ImageReference] = (),
) -> DataSet:
    """The document. ``earlier`` are documents that this one replaces."""
    made = report_of(
        making,
        [_group(each) for each in findings],
        [each.image for each in findings],
        study_instance_uid=study_instance_uid,
    )
    if earlier:
        made.put("PredecessorDocumentsSequence", *predecessors(study_instance_uid, earlier))
    return made


def report_of(
    making: Making,
    groups: Sequence[DataSet],
    references: Sequence[ImageReference],
    *,
    study_instance_uid: str,
    description: str = "Measurements",
) -> DataSet:
    """The document around measurement groups, which refer to these instances of the study."""
    made = begun(making, sop_class_uid=COMPREHENSIVE_SR, modality="SR", description=description)
    put_content_time(made, making)
    made.put("CompletionFlag", "COMPLETE")
    made.put("VerificationFlag", "UNVERIFIED")
    made.put("PerformedProcedureCodeSequence")
    made.put("ReferencedPerformedProcedureStepSequence")
    made.put("CurrentRequestedProcedureEvidenceSequence", evidence(study_instance_uid, references))
    root = content.container(
        _REPORT,
        (
            content.coded("HAS CONCEPT MOD", _LANGUAGE, _ENGLISH),
            content.coded("HAS OBS CONTEXT", _OBSERVER_TYPE, _PERSON),
            content.person("HAS OBS CONTEXT", _OBSERVER_NAME, making.author),
            content.coded("HAS CONCEPT MOD", _PROCEDURE_REPORTED, _IMAGING),
            content.container(_MEASUREMENTS, groups),
        ),
        template="1500",
        root=True,
    )
    made.update(root)
    return made


def tracked(identifier: str, tracking_uid: str) -> tuple[DataSet, DataSet]:
    """What identifies a group's finding over time, first for people and then for machines.

    Standard: PS3.16 TID 4108
    """
    return (
        content.text("HAS OBS CONTEXT", _TRACKING_IDENTIFIER, identifier),
        content.uid_reference("HAS OBS CONTEXT", _TRACKING_UID, tracking_uid),
    )


def _group(finding: MeasuredFinding) -> DataSet:
    children = [*tracked(f"{_TRACKED_AS}:{finding.tool}", finding.tracking_uid)]
    draw = [(finding.graphic_type, points, finding.image) for points in finding.graphics]
    # A mark has no number that its place could stand beside. Viewers built on Cornerstone read none
    # of the measurements of a document in which they find a group without a place.
    region = finding.region or not finding.quantities
    if region:
        children += [content.coordinates("CONTAINS", *each, _REGION) for each in draw]
        # Viewers built on Cornerstone seek the place below the first number, where TID 300 has it.
        inferred = [content.coordinates("INFERRED FROM", *each) for each in draw]
        children += [
            _quantity(each, () if at else inferred) for at, each in enumerate(finding.quantities)
        ]
    else:
        children.append(content.image("CONTAINS", finding.image, _SOURCE))
        children += [
            _quantity(each, (content.coordinates("INFERRED FROM", *draw[min(at, len(draw) - 1)]),))
            for at, each in enumerate(finding.quantities)
        ]
    words = [each for each in (finding.label, finding.comment) if each]
    children += [content.text("CONTAINS", _COMMENT, each) for each in words]
    return content.container(MEASUREMENT_GROUP, children, template="1410" if region else "1501")


def _quantity(quantity: Quantity, drawn: Sequence[DataSet]) -> DataSet:
    modifiers = (
        (content.coded("HAS CONCEPT MOD", _DERIVATION, quantity.derivation),)
        if quantity.derivation
        else ()
    )
    return content.number(quantity.name, quantity.value, quantity.unit, (*modifiers, *drawn))
