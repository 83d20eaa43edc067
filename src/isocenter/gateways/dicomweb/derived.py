"""What derived slices say of themselves.

The words of the slice they are made of, with their own identity, place and derivation.

Standard: PS3.3 C.7.6.1.1.2 (image type), C.7.6.1 (derivation), C.7.6.2 (place); PS3.16 CID 7203
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from isocenter.imaging.resample import CannotResampleError, Place, Plan
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.json_model import JsonObject, from_json
from isocenter.standards.dicom.part10 import encode_file_meta
from isocenter.standards.dicom.values import encode_dataset
from isocenter.standards.dicom.values_model import Element

_PIXEL_DATA: Final = 0x7FE0_0010
# Of the source: what does not hold for a slice that lies elsewhere, or is made when it is sent.
_NOT_INHERITED: Final = frozenset({
    "00083002",  # Available Transfer Syntax UID
    "00181120",  # Gantry/Detector Tilt
    "00180088",  # Spacing Between Slices
    "00201041",  # Slice Location
    "00280106",  # Smallest and Largest Image Pixel Value
    "00280107",
    "04000561",  # Original Attributes Sequence: of the original
    "7FE00010",
})
_OVERLAYS: Final = range(0x6000, 0x6020)
_SPATIAL_RESAMPLING: Final = ("113085", "DCM", "Spatial resampling")
_SOURCE: Final = ("121322", "DCM", "Source image for image processing operation")
_AIR_HU: Final = -1024.0
_DESCRIPTION_MAX: Final = 64  # characters of an LO
_DIGITS: Final = 6
_SAME_PLACE_SHARE: Final = 0.25  # of a gap
# Samples, bits, sign, rescale: what must be alike for values to be mixed.
_KIND: Final = ("00280002", "00280100", "00280101", "00280103", "00281052", "00281053")


class DerivedSeries:
    """Slices of one series, and the words of slices that are made of them.

    Args:
        models: the metadata of the series' instances.

    Raises:
        CannotResampleError: they are no single-frame grey images of one kind, or do not say where
            they lie.
    """

    def __init__(self, models: Sequence[JsonObject]) -> None:
        self._models = models
        self.places = [_place(each) for each in models]
        first = models[0]
        kinds = {tuple(_numbers(each, tag) for tag in _KIND) for each in models}
        if len(kinds) > 1:
            raise CannotResampleError("the slices' values do not mean the same")
        allocated = int(_number(first, "00280100") or 16)
        if allocated not in {8, 16, 32}:
            raise CannotResampleError("the slices' values are of an unusual size")
        self._signed = _number(first, "00280103") == 1
        self.dtype: np.dtype[Any] = np.dtype(f"{'i' if self._signed else 'u'}{allocated // 8}")
        self.outside = self._outside()

    def _outside(self) -> float:
        """The stored value where no slice reaches: padding where it is named, air in CT, else 0."""
        first = self._models[0]
        stored = int(_number(first, "00280101") or self.dtype.itemsize * 8)
        least = -(1 << (stored - 1)) if self._signed else 0
        padding = _number(first, "00280120")
        if padding is not None:
            return padding
        slope, intercept = _number(first, "00281053") or 1.0, _number(first, "00281052") or 0.0
        air = (_AIR_HU - intercept) / slope if _text(first, "00080060") == "CT" else 0.0
        return max(float(least), round(air))

    def model(self, plan: Plan, index: int) -> JsonObject:
        """The metadata of slice ``index`` of the grid."""
        near = int(np.abs(plan.depths_mm - plan.grid.gap_mm * index).argmin())
        source = self._models[plan.order[near]]
        series_uid = _text(source, "0020000E")
        made = {tag: value for tag, value in source.items() if _inherits(tag)}
        flavour = source.get("00080008", {}).get("Value", [])[2:3] or ["AXIAL"]
        words = "; ".join(plan.reasons) or "on an even grid"
        description = _text(source, "0008103E")[: _DESCRIPTION_MAX - len(" (resampled)")]
        position = [round(float(each), _DIGITS) for each in plan.grid.position_mm(index)]
        own: JsonObject = {
            "00080008": _of("CS", "DERIVED", "SECONDARY", *flavour, "RESAMPLED"),
            "00080018": _of("UI", _uid(series_uid, str(index))),
            "0008103E": _of("LO", f"{description} (resampled)".strip()),
            "00082111": _of("ST", f"Resampled trilinearly: {words}"),
            "00089215": _of("SQ", _code(*_SPATIAL_RESAMPLING)),
            "00082112": _of("SQ", *self._sources(plan, index)),
            "00180088": _of("DS", round(plan.grid.gap_mm, _DIGITS)),
            "0020000E": _of("UI", _uid(series_uid, "series")),
            "00200013": _of("IS", index + 1),
            "00200032": _of("DS", *position),
            "00280010": _of("US", plan.grid.rows),
            "00280011": _of("US", plan.grid.columns),
        }
        return dict(sorted((made | own).items()))

    def _sources(self, plan: Plan, index: int) -> list[JsonObject]:
        """The one or two slices that it is made of."""
        depth = plan.grid.gap_mm * index
        away = np.abs(plan.depths_mm - depth)
        nearest = np.argsort(away, kind="stable")[:2]
        wanted = nearest[:1] if away[nearest[0]] < _SAME_PLACE_SHARE * plan.grid.gap_mm else nearest
        return [
            {
                "00081150": _of("UI", _text(model, "00080016")),
                "00081155": _of("UI", _text(model, "00080018")),
                "0040A170": _of("SQ", _code(*_SOURCE)),
            }
            for model in (self._models[plan.order[int(each)]] for each in wanted)
        ]


def file_of(model: JsonObject, pixels: bytes) -> bytes:
    """The slice as a DICOM file in Explicit VR Little Endian."""
    dataset = from_json(model)
    value = pixels + b"\0" * (len(pixels) % 2)
    dataset[_PIXEL_DATA] = Element("OW", (value,))
    meta = encode_file_meta(
        sop_class_uid=_text(model, "00080016"),
        sop_instance_uid=_text(model, "00080018"),
        transfer_syntax_uid=uids.EXPLICIT_VR_LITTLE_ENDIAN,
    )
    return meta + encode_dataset(dataset.sorted(), uids.EXPLICIT_VR_LITTLE_ENDIAN)


def _place(model: JsonObject) -> Place:
    position, axes = _numbers(model, "00200032"), _numbers(model, "00200037")
    spacing = _numbers(model, "00280030")
    rows, columns = _number(model, "00280010"), _number(model, "00280011")
    if (_number(model, "00280008") or 1) > 1 or (_number(model, "00280002") or 1) > 1:
        raise CannotResampleError("only single-frame grey images are resampled")
    if len(position) != 3 or len(axes) != 6 or len(spacing) != 2 or not rows or not columns:
        raise CannotResampleError("the images do not state where in the patient they lie")
    return Place(
        (position[0], position[1], position[2]),
        (axes[0], axes[1], axes[2]),
        (axes[3], axes[4], axes[5]),
        (spacing[0], spacing[1]),
        int(rows),
        int(columns),
    )


def _inherits(tag: str) -> bool:
    group = int(tag[:4], 16)
    return tag not in _NOT_INHERITED and group % 2 == 0 and group not in _OVERLAYS


def _uid(series_instance_uid: str, part: str) -> str:
    """The same each time it is made.

    Standard: PS3.5 B.2
    """
    name = f"{series_instance_uid} resampled {part}"
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def _of(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def _code(value: str, scheme: str, meaning: str) -> JsonObject:
    return {
        "00080100": _of("SH", value),
        "00080102": _of("SH", scheme),
        "00080104": _of("LO", meaning),
    }


def _numbers(model: JsonObject, tag: str) -> tuple[float, ...]:
    values = model.get(tag, {}).get("Value", [])
    return tuple(float(each) for each in values if each is not None)


def _number(model: JsonObject, tag: str) -> float | None:
    return next(iter(_numbers(model, tag)), None)


def _text(model: JsonObject, tag: str) -> str:
    values = model.get(tag, {}).get("Value", [])
    return str(values[0] or "") if values else ""
