"""A store that is nearly full refuses instances to pynetdicom, and takes them again by itself."""

import time

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from isocenter.gateways.dimse.limits import Limits
from tests.contract.dimse.test_pynetdicom import CT, connect, ct

__all__ = ["connect"]  # the fixture
pytestmark = pytest.mark.peer("pynetdicom")


def test_room_that_comes_back_is_used_on_the_same_association(start, connect, monkeypatch):
    running = start(Limits(free_bytes_min=1000))
    free = {"bytes": 999}
    monkeypatch.setattr(running.store, "free_bytes", lambda: free["bytes"])
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    assert association.send_c_store(ct()).Status == 0xA700
    assert running.files() == []
    free["bytes"] = 1000
    deadline = time.monotonic() + 10
    while association.send_c_store(ct()).Status == 0xA700:  # looked at once a second
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(running.files()) == 1
