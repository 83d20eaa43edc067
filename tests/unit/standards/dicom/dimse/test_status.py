import pytest

from isocenter.standards.dicom.dimse.status import Category, Status, category_of


def test_every_code_is_classified_as_the_independent_table_says():
    theirs = pytest.importorskip("pynetdicom.status")
    # pynetdicom has its own category for codes that no standard table names.
    known = {status: theirs.code_to_category(status) for status in range(0x10000)}
    for status, category in known.items():
        if category != "Unknown":
            assert category_of(status).value == category.lower(), hex(status)


@pytest.mark.parametrize("status", list(Status))
def test_every_code_of_ours_has_a_category(status):
    assert category_of(status) in Category
