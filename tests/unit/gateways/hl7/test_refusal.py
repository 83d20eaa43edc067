import pytest

from isocenter.domain.identity.model import SelfMerge
from isocenter.domain.orders.model import AccessionConflict, OrderUnknown, StudyInstanceUidFixed
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.refusal import BY_KIND, answer_to
from isocenter.infra.db import DatabaseUnavailable
from isocenter.standards.hl7v2.ack import AckCode


@pytest.mark.parametrize(
    ("error", "has_ipc", "expected"),
    [
        (SelfMerge("x"), False, ("AE", 205, "MRG^1^1")),
        (OrderUnknown("x"), False, ("AE", 204, "ORC^1^2")),
        (AccessionConflict("x"), False, ("AE", 205, "OBR^1^18")),
        (AccessionConflict("x"), True, ("AE", 205, "IPC^1^1")),
        (StudyInstanceUidFixed("x"), True, ("AE", 205, "IPC^1^3")),
        (DatabaseUnavailable("x"), False, ("AR", 207, "")),
    ],
)
def test_situations(error, has_ipc, expected):
    code, problem = answer_to(error, has_ipc=has_ipc)
    assert (code, problem.code, problem.location) == expected


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_an_answer_and_only_passing_ones_invite_a_retry(kind):
    error = type("Some", (IsocenterError,), {"kind": kind})("text")
    code, problem = answer_to(error)
    assert code is BY_KIND[kind].code
    permanent = problem.code.value in {200, 201, 202, 203}
    retried = code is AckCode.AR and not permanent
    assert retried == (kind in {Kind.BUSY, Kind.UNAVAILABLE})
