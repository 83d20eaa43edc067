"""What the generated parts of the conformance statements say, where it is known otherwise."""

import pytest

from tools.conformance import attributes, services, web


def rows(table: str) -> list[list[str]]:
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def keys() -> dict[str, list[str]]:
    return {row[1]: row for row in rows(attributes.study_keys())}


def test_what_is_offered_needs_its_permission():
    offered = {row[0]: row[2:] for row in rows(services.accepted_contexts())}
    assert offered["Verification"] == ["SCP", "none"]
    assert offered["Modality Worklist Information Model - FIND"] == ["SCP", "worklist"]
    assert offered["Study Root Query/Retrieve Information Model - GET"] == ["SCP", "get"]
    # Whoever gets by C-GET is the SCP of Storage, and we are the SCU.
    *_, storage = offered.values()
    assert storage == ["SCP, SCU", "store (as SCP), get (as SCU)"]


def test_no_class_is_offered_that_has_no_service():
    named = {row[0] for row in rows(services.overview())}
    assert not any("Print" in name or "Hanging Protocol" in name for name in named)


def test_an_event_class_is_one_in_which_we_tell():
    by_name = {row[0]: row[2:] for row in rows(services.overview())}
    assert by_name["Unified Procedure Step - Push"] == ["no", "yes"]
    assert by_name["Unified Procedure Step - Event"] == ["no", "yes"]


def test_keys_stand_at_their_level_with_their_matching(keys):
    assert keys["PatientName"][0] == "PATIENT"
    assert keys["PatientName"][4:] == ["single value, wild card, fuzzy", "yes", "yes"]
    assert keys["StudyInstanceUID"][4] == "single value, list of UID (unique key)"
    assert keys["StudyDate"][4] == "single value, range"
    # It says how dates and times of an identifier are meant, and is no key.
    assert keys["TimezoneOffsetFromUTC"][4] == "no"


def test_each_attribute_of_a_worklist_item_is_there():
    found = [row[0] for row in rows(attributes.worklist_keys())]
    assert "AccessionNumber" in found
    assert "&gt; ScheduledStationAETitle" in found
    assert "&gt; &gt; CodeMeaning" in found


def test_limits_that_settings_decide_are_not_called_fixed():
    fixed = {row[0].strip("`") for row in rows(web.association_limits())}
    assert "stall_timeout_s" in fixed
    assert not fixed & {"idle_timeout_s", "associations_max", "dataset_bytes_max"}
