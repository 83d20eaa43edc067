"""What a completed workitem names as made: by the modality's word, else by the archive."""

import pytest

from isocenter.domain.worklist.model_workitem_outputs import (
    INSTANCES_MAX,
    MadeSeries,
    output_information,
    outputs,
    series_said,
)

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.67"


def a_series(uid: str, *numbers: int, url: str = "https://pacs/s", ae_title: str = "US"):
    return MadeSeries(
        study_instance_uid="1.2.3",
        series_instance_uid=uid,
        instances=tuple((CT, f"{uid}.{each}") for each in numbers),
        retrieve_ae_title=ae_title,
        retrieve_url=url,
    )


def attribute(*values):
    return {"vr": "SQ", "Value": list(values)}


def reference(sop_class_uid: str, sop_instance_uid: str):
    return {"00081150": attribute(sop_class_uid), "00081155": attribute(sop_instance_uid)}


def said(uid: str, *, images=(), others=(), **more):
    return {
        "0020000E": attribute(uid),
        "00081140": attribute(*(reference(CT, each) for each in images)),
        "00400220": attribute(*(reference(SR, each) for each in others)),
        **more,
    }


def test_a_modality_names_images_and_other_objects():
    performed = {
        "00400340": attribute(
            said("1.1", images=["1.1.1", "1.1.2"], **{"00080054": attribute("CTSTORE")}),
            said("1.2", others=["1.2.1"]),
        )
    }
    first, second = series_said([performed], "1.2.3")
    assert first.instances == ((CT, "1.1.1"), (CT, "1.1.2"))
    assert (first.study_instance_uid, first.retrieve_ae_title) == ("1.2.3", "CTSTORE")
    assert (second.instances, second.retrieve_ae_title) == (((SR, "1.2.1"),), "")


@pytest.mark.parametrize(
    "performed",
    [
        {},
        {"00400340": {"vr": "SQ"}},
        {"00400340": attribute("1.1", None, 7)},
        {"00400340": attribute(said("1.1"))},
        {"00400340": attribute(said("", images=["1"]))},
        {"00400340": attribute({"0020000E": attribute("1.1"), "00081140": attribute({})})},
    ],
)
def test_what_names_no_object_is_passed_over(performed):
    assert series_said([performed], "1.2.3") == []


def test_what_was_said_chooses_among_what_is_here_and_adds_what_is_on_its_way():
    here = [a_series("1.1", 1, 2), a_series("1.2", 1)]
    theirs = a_series("1.1", 2, 3, url="", ae_title="CTSTORE")
    unknown = a_series("1.9", 1, url="", ae_title="CTSTORE")
    assert outputs(here, []) == here
    assert outputs(here, [theirs, unknown]) == [a_series("1.1", 1, 2, 3), unknown]


def test_two_performed_steps_may_name_parts_of_one_series():
    parts = [a_series("1.1", 1, url=""), a_series("1.1", 2, url="")]
    assert outputs([], parts) == [a_series("1.1", 1, 2, url="")]


def test_each_series_says_how_it_is_retrieved():
    by_both, by_dimse = output_information([
        a_series("1.1", 1, 2),
        a_series("1.2", 1, url=""),
        a_series("1.3", 1, url="", ae_title=""),  # nobody can be asked for it
        a_series("1.4"),
    ]).values
    assert by_both.text(0x0040E020) == "DICOM"
    assert [each.text(0x00081155) for each in by_both[0x00081199].values] == ["1.1.1", "1.1.2"]
    assert by_both.item(0x0040E021).text(0x00080054) == "US"
    assert by_both.item(0x0040E025).text(0x00081190) == "https://pacs/s"
    assert 0x0040E025 not in by_dimse


def test_more_than_can_be_listed_is_not_listed_in_part():
    most = a_series("1.1", *range(INSTANCES_MAX))
    assert len(output_information([most]).values) == 1
    assert output_information([most, a_series("1.2", 1)]).values == ()
