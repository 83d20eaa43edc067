"""What the workspace's words for numbers and units are in coded terms.

Standard: PS3.16 CID 7469, CID 7470, CID 7464, UCUM
"""

from collections.abc import Mapping
from typing import Any, Final

from isocenter.standards.dicom.evidence.content import Code, own_code
from isocenter.standards.dicom.evidence.measurement_report import Quantity

_UNITS: Final = {
    "mm": Code("mm", "UCUM", "millimeter"),
    "cm": Code("cm", "UCUM", "centimeter"),
    "µm": Code("um", "UCUM", "micrometer"),  # noqa: RUF001 - as shown
    "mm²": Code("mm2", "UCUM", "square millimeter"),
    "cm²": Code("cm2", "UCUM", "square centimeter"),
    "px": Code("{pixels}", "UCUM", "pixels"),
    "px²": Code("{square pixels}", "UCUM", "square pixels"),
    "°": Code("deg", "UCUM", "degree"),
    "HU": Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
    "SUVbw g/ml": Code("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight"),
    "SUVlbm g/ml": Code("g/ml{SUVlbm}", "UCUM", "Standardized Uptake Value lean body mass"),
    "SUVbsa cm2/ml": Code("cm2/ml{SUVbsa}", "UCUM", "Standardized Uptake Value body surface area"),
    "Bq/ml": Code("Bq/ml", "UCUM", "Becquerels per milliliter"),
    "": Code("1", "UCUM", "no units"),
}
_CALIBRATIONS: Final = {
    "Proj": "Lengths are at the detector.",
    "ERMF": "Lengths are corrected for the estimated radiographic magnification.",
    "Calibrated": "Lengths are calibrated.",
    "User": "Lengths are calibrated by a known length.",
    "US Region": "",
    "ECG Region": "",
    "Unknown": "How the image is calibrated is not stated.",
    "Error": "The image's calibration is contradictory.",
}
_OF_PIXELS: Final = {
    "HU": Code("112031", "DCM", "Attenuation Coefficient"),
    "SUVbw g/ml": Code("126401", "DCM", "SUVbw"),
    "SUVlbm g/ml": Code("126402", "DCM", "SUVlbm"),
    "SUVbsa cm2/ml": Code("126403", "DCM", "SUVbsa"),
    "Bq/ml": Code("110821", "DCM", "Nuclear Medicine Tomographic Activity"),
}
_PIXEL_VALUE: Final = own_code("PIXEL-VALUE", "Pixel value")
_DERIVATIONS: Final = {
    "Mean": Code("373098007", "SCT", "Mean"),
    "SD": Code("386136009", "SCT", "Standard Deviation"),
    "Min": Code("255605001", "SCT", "Minimum"),
    "Max": Code("56851009", "SCT", "Maximum"),
}
_NAMES: Final[Mapping[tuple[str, str], Code]] = {
    ("Length", ""): Code("410668003", "SCT", "Length"),
    ("Angle", ""): Code("1483009", "SCT", "Angle"),
    ("CobbAngle", ""): Code("285285000", "SCT", "Cobb angle"),
    ("Bidirectional", ""): Code("103339001", "SCT", "Long Axis"),
    ("Bidirectional", "×"): Code("103340004", "SCT", "Short Axis"),  # noqa: RUF001 - as shown
    ("CardiothoracicRatio", "Ratio"): own_code("CTR", "Cardiothoracic ratio"),
}
_AREA: Final = Code("42798000", "SCT", "Area")
_PERIMETER: Final = Code("131191004", "SCT", "Perimeter")


def quantity(tool: str, statistic: Mapping[str, Any]) -> Quantity:
    """The coded number that a statistic of the workspace is."""
    name, value = str(statistic.get("name", "")), float(statistic["value"])
    unit, _ = _split(str(statistic.get("unit", "")))
    coded_unit = _UNITS.get(unit) or Code(f"{{{unit[:12]}}}", "UCUM", unit)
    if name in _DERIVATIONS or tool == "Probe":
        concept = _OF_PIXELS.get(unit, _PIXEL_VALUE)
        return Quantity(concept, value, coded_unit, _DERIVATIONS.get(name))
    if name == "Area":
        return Quantity(_AREA, value, coded_unit)
    if name == "Perimeter":
        return Quantity(_PERIMETER, value, coded_unit)
    concept = _NAMES.get((tool, name)) or own_code("VALUE", name or tool)
    return Quantity(concept, value, coded_unit)


def calibration_note(statistics: list[Mapping[str, Any]]) -> str:
    """How lengths among the statistics are known, as a sentence; empty where units say it."""
    for each in statistics:
        note = _CALIBRATIONS.get(_split(str(each.get("unit", "")))[1])
        if note:
            return note
    return ""


def _split(unit: str) -> tuple[str, str]:
    """The unit, and the calibration that the workspace appends to it."""
    for calibration in _CALIBRATIONS:
        if unit.endswith(f" {calibration}"):
            return unit.removesuffix(f" {calibration}"), calibration
    return unit, ""
