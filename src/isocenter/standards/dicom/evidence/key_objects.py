"""Images that somebody points at, as a Key Object Selection document.

Standard: PS3.3 A.35.4, PS3.16 TID 2010
"""

from collections.abc import Sequence
from typing import Final

from isocenter.standards.dicom.evidence import content
from isocenter.standards.dicom.evidence.composite import Making, begun, evidence, put_content_time
from isocenter.standards.dicom.evidence.content import Code, ImageReference
from isocenter.standards.dicom.values_model import DataSet

KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"
_OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")
_DESCRIPTION: Final = Code("113012", "DCM", "Key Object Description")
_OBSERVER_TYPE: Final = Code("121005", "DCM", "Observer Type")
_PERSON: Final = Code("121006", "DCM", "Person")
_OBSERVER_NAME: Final = Code("121008", "DCM", "Person Observer Name")


def key_objects(
    making: Making,
    images: Sequence[ImageReference],
    *,
    study_instance_uid: str,
    description: str = "",
) -> DataSet:
    """The document that selects ``images``, of which there is one at least."""
    made = begun(
        making, sop_class_uid=KEY_OBJECT_SELECTION, modality="KO", description="Key images"
    )
    put_content_time(made, making)
    made.put("ReferencedPerformedProcedureStepSequence")
    made.put("CurrentRequestedProcedureEvidenceSequence", evidence(study_instance_uid, images))
    children = [
        content.coded("HAS OBS CONTEXT", _OBSERVER_TYPE, _PERSON),
        content.person("HAS OBS CONTEXT", _OBSERVER_NAME, making.author),
    ]
    if description:
        children.append(content.text("CONTAINS", _DESCRIPTION, description))
    children += [content.image("CONTAINS", each) for each in images]
    made.update(content.container(_OF_INTEREST, children, template="2010", root=True))
    return made
