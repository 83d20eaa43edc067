import pytest

from isocenter.domain.reading.model_hanging import BadProtocol, check_protocols

PROTOCOL = {
    "name": "Chest",
    "modality": ["CT"],
    "rows": 1,
    "columns": 2,
    "series": [{"label": "Now"}, {"label": "Before", "study": "prior", "modality": ["CT"]}],
    "stages": [{"name": "All", "rows": 4, "columns": 5, "series": [], "link": True}],
}


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 5},
        {"columns": 6},
        {"rows": True},
        {"name": ""},
        {"series": [{}] * 3},
        {"series": [{"study": "next"}]},
        {"series": [{"colour": "red"}]},
        {"stages": [{"rows": 1}]},
        {"description": "x" * 201},
        {"script": "x"},
    ],
)
def test_a_protocol_that_could_not_be_shown_is_refused(change):
    assert check_protocols([PROTOCOL]) == [PROTOCOL]
    with pytest.raises(BadProtocol):
        check_protocols([{**PROTOCOL, **change}])
