"""At which level of a search an attribute can be returned: patient and study, series, instance.

What the patient and study modules and the series and equipment modules hold is the same in all
instances of a study or series, so any of them can answer for it. All else belongs to an instance.

Standard: PS3.18 10.6.1.2.3 (attributes at or above the level of the resource), PS3.3 C.7.1 to C.7.5
"""

from typing import Final, Literal

Level = Literal["study", "series", "instance"]

# Groups of which every element is of the patient or study: identification and history, clinical
# trial, study, visit.
_STUDY_GROUPS: Final = frozenset({0x0010, 0x0012, 0x0032, 0x0038})
_CLINICAL_TRIAL_SERIES: Final = frozenset({0x0012_0060, 0x0012_0071, 0x0012_0072, 0x0012_0073})
_STUDY: Final = frozenset({
    0x0008_0020, 0x0008_0030, 0x0008_0050, 0x0008_0051, 0x0008_0056, 0x0008_0061, 0x0008_0062,
    0x0008_0063, 0x0008_0090, 0x0008_0092, 0x0008_0094, 0x0008_0096, 0x0008_009C, 0x0008_009D,
    0x0008_0201, 0x0008_1030, 0x0008_1032, 0x0008_1048, 0x0008_1049, 0x0008_1060, 0x0008_1062,
    0x0008_1080, 0x0008_1084, 0x0008_1110, 0x0008_1120, 0x0020_000D, 0x0020_0010, 0x0020_1206,
    0x0020_1208, 0x0040_1012,
})  # fmt: skip
_SERIES: Final = frozenset({
    0x0008_0021, 0x0008_0031, 0x0008_0060, 0x0008_0064, 0x0008_0068, 0x0008_0070, 0x0008_0080,
    0x0008_0081, 0x0008_0082, 0x0008_1010, 0x0008_103E, 0x0008_103F, 0x0008_1040, 0x0008_1041,
    0x0008_1050, 0x0008_1052, 0x0008_1070, 0x0008_1072, 0x0008_1090, 0x0008_1111, 0x0008_1250,
    0x0018_0015, 0x0018_1000, 0x0018_1002, 0x0018_1010, 0x0018_1016, 0x0018_1018, 0x0018_1019,
    0x0018_1020, 0x0018_1030, 0x0018_5100, 0x0020_000E, 0x0020_0011, 0x0020_0052, 0x0020_0060,
    0x0020_0200, 0x0020_1040, 0x0020_1209, 0x0028_0108, 0x0028_0109, 0x0040_0241, 0x0040_0242,
    0x0040_0243, 0x0040_0244, 0x0040_0245, 0x0040_0250, 0x0040_0251, 0x0040_0253, 0x0040_0254,
    0x0040_0260, 0x0040_0275, 0x0040_0280, 0x0054_1000, 0x0054_1001, 0x0054_1002,
})  # fmt: skip


def level_of(tag: int) -> Level:
    """The highest level at which the attribute can be returned."""
    if tag in _CLINICAL_TRIAL_SERIES:
        return "series"
    if tag in _STUDY or tag >> 16 in _STUDY_GROUPS:
        return "study"
    return "series" if tag in _SERIES else "instance"


def is_at(tag: int, level: Level) -> bool:
    """Whether a search at ``level`` can return the attribute."""
    at = level_of(tag)
    return level == "instance" or at == "study" or at == level
