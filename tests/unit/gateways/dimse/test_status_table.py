import pytest

from isocenter.errors import Kind
from isocenter.gateways.dimse import status_table
from isocenter.standards.dicom.dimse.status import Category, category_of


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_failure_has_a_code(kind):
    assert category_of(status_table.STORE[kind]) is Category.FAILURE
    assert category_of(status_table.RETRIEVE[kind]) is Category.FAILURE
    assert category_of(status_table.NORMALIZED[kind]) is Category.FAILURE
    assert category_of(status_table.FIND[kind]) in {Category.FAILURE, Category.SUCCESS}
