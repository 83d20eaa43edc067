"""Which images a route is for, and which descriptions of routes are refused."""

from datetime import time

import pytest

from isocenter.domain.archive.model_outgoing import SeriesGrowth
from isocenter.domain.distribution.model import BadRoute, Conditions, Route, check_route

NOON = time(12, 0)


def series(**said) -> SeriesGrowth:
    usual = {
        "series_instance_uid": "1.2.3",
        "accession_number": "A1",
        "study_description": "CT Head [native]",
        "referring_physician_name": "Phantom^Grace^^Dr=ideographic",
        "modality": "CT",
        "series_description": None,
        "body_part_examined": "HEAD",
        "calling_ae_titles": ["CT1", "CT2"],
        "instances": 1,
        "newest_key": 1,
    }
    return SeriesGrowth(**(usual | said))


@pytest.mark.parametrize(
    ("asked", "included"),
    [
        ({}, True),
        ({"modalities": ("ct", "MR")}, True),
        ({"modalities": ("MR",)}, False),
        ({"calling_ae_titles": ("CT2",)}, True),
        ({"calling_ae_titles": ("CT?",)}, True),
        ({"calling_ae_titles": ("CT",)}, False),
        ({"study_descriptions": ("*head*",)}, True),
        ({"study_descriptions": ("* [native]",)}, True),  # brackets are no character classes
        ({"study_descriptions": ("head",)}, False),  # the whole text, unless a pattern says not
        ({"series_descriptions": ("*",)}, True),
        ({"series_descriptions": ("?*",)}, False),
        ({"referring_physicians": ("phantom^grace*",)}, True),
        ({"referring_physicians": ("ideographic",)}, True),
        ({"body_parts": (" head ",)}, True),
        ({"modalities": ("CT",), "body_parts": ("CHEST",)}, False),
    ],
)
def test_every_condition_must_be_met_by_one_of_its_patterns(asked, included):
    assert Conditions(**asked).include(series(), NOON) is included


@pytest.mark.parametrize(
    ("span", "moment", "included"),
    [
        (("08:00", "17:00"), "08:00", True),
        (("08:00", "17:00"), "17:00", False),
        (("20:00", "07:00"), "23:59", True),
        (("20:00", "07:00"), "06:59", True),
        (("20:00", "07:00"), "12:00", False),
    ],
)
def test_a_time_of_day_may_go_over_midnight(span, moment, included):
    begin, end = map(time.fromisoformat, span)
    conditions = Conditions(time_from=begin, time_to=end)
    assert conditions.include(series(), time.fromisoformat(moment)) is included


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a/b"},
        {"sends_images": False},
        {"sends_images": False, "notifies": True, "wants_commitment": True},
        {"transfer_syntax_uid": "1.2.840.10008.1.2.4.50"},  # would lose detail
        {"conditions": Conditions(time_from=NOON)},
        {"conditions": Conditions(time_from=NOON, time_to=NOON)},
        {"conditions": Conditions(modalities=("",))},
        {"conditions": Conditions(modalities=("x" * 65,))},
        {"conditions": Conditions(modalities=("CT",) * 51)},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong):
    with pytest.raises(BadRoute):
        check_route(Route(**({"name": "r", "recipient": "PACS"} | wrong)))
