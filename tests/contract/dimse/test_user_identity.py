"""Who is behind an association, as DCMTK and pynetdicom say it, judged by real users and peers."""

import shutil
import subprocess

import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.sop_class import CTImageStorage, Verification

from isocenter.app.dicom_policy import PeerPolicy
from isocenter.domain.access import service as access
from isocenter.domain.access.model import Actor, Role
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.infra.pools import Pool
from tests.fakes.clock import FixedClock

SYSTEM = Actor.system("test")
PASSWORD = "correct horse battery"


class Door:
    """A server whose door is the product's, with two users and two peers."""

    def __init__(self, running, database, pool) -> None:
        self.port = running.port
        self.database = database
        self.clock = FixedClock()
        now = self.clock()
        running.policy.grant = PeerPolicy(pool, clock=self.clock, resolve=frozenset).grant
        with database.transaction() as tx:
            for name, role in (("tom", Role.TECHNOLOGIST), ("fay", Role.FRONT_DESK)):
                access.add_user(tx, SYSTEM, (name, name), roles=[role], password=PASSWORD, now=now)
            self.token = access.create_token(tx, SYSTEM, "tom", ttl_s=3600, now=now)
            for title, required in (("OPEN", False), ("STRICT", True)):
                peer = DicomPeer(
                    title.lower(),
                    title,
                    "127.0.0.1",
                    104,
                    frozenset({"store"}),
                    identity_required=required,
                )
                peers.add_dicom_peer(tx, SYSTEM, peer, now=now)

    def audited(self) -> list[tuple[str, str, str]]:
        with self.database.transaction() as tx:
            return tx.values(
                "select action || ' ' || object_id || ' ' || outcome from audit.record"
                " where action in ('user.identify', 'user.name') order by record_key"
            )

    def associate(self, title: str, kind: int | None = None, primary="", secondary="", **window):
        """pynetdicom's association, whatever became of it."""
        scu = AE(title)
        scu.add_requested_context(Verification)
        scu.add_requested_context(CTImageStorage)
        extended = []
        if kind is not None:
            identity = UserIdentityNegotiation()
            identity.user_identity_type = kind
            identity.positive_response_requested = True
            identity.primary_field = primary.encode()
            if secondary:
                identity.secondary_field = secondary.encode()
            extended.append(identity)
        if window:
            operations = AsynchronousOperationsWindowNegotiation()
            operations.maximum_number_operations_invoked = window["invoked"]
            operations.maximum_number_operations_performed = window["performed"]
            extended.append(operations)
        return scu.associate("127.0.0.1", self.port, ae_title="ARCHIVE", ext_neg=extended)


@pytest.fixture
def door(running, make_database):
    database = make_database()
    pool = Pool(database, threads=2)
    yield Door(running, database, pool)
    pool.close()


def outcome(association) -> str:
    """What became of an association; who it was is confirmed or not."""
    if association.is_rejected:
        answer = association.acceptor.primitive
        return f"rejected {answer.result}.{answer.result_source}.{answer.diagnostic}"
    confirmed = association.acceptor.user_identity is not None
    services = {each.abstract_syntax for each in association.accepted_contexts}
    association.release()
    text = "confirmed" if confirmed else "accepted"
    return text if CTImageStorage in services else f"{text} without storage"


@pytest.mark.peer("pynetdicom")
def test_pynetdicom_says_who_it_is(door):
    # 1.1.1: rejected permanently, by the service user, without a reason (PS3.8 Table 9-21).
    refused = "rejected 1.1.1"
    cases = [
        (("OPEN",), "accepted"),
        (("OPEN", 1, "tom"), "confirmed"),
        (("OPEN", 1, "nobody"), refused),
        (("OPEN", 2, "fay", PASSWORD), "confirmed without storage"),
        (("OPEN", 3, "a ticket"), "accepted"),
        (("STRICT",), refused),
        (("STRICT", 1, "tom"), refused),
        (("STRICT", 2, "tom", PASSWORD), "confirmed"),
        (("STRICT", 2, "tom", door.token), "confirmed"),
        (("STRICT", 2, "fay", door.token), refused),
        (("STRICT", 2, "tom", "wrong"), refused),
        (("STRICT", 3, "a ticket"), refused),
        (("STRICT", 5, door.token), "confirmed"),
        (("STRICT", 5, "isocenter_x"), refused),
    ]
    assert [outcome(door.associate(*said)) for said, _ in cases] == [what for _, what in cases]
    assert door.audited() == [
        "user.name tom success",
        "user.name nobody refused",
        "user.identify fay success",
        "user.identify tom success",
        "user.identify tom success",
        "user.identify fay refused",
        "user.identify tom refused",
        "user.identify tom success",
        "user.identify  refused",
    ]


@pytest.mark.peer("pynetdicom")
def test_guessing_makes_even_the_right_password_wait(door):
    for _ in range(5):
        assert outcome(door.associate("STRICT", 2, "tom", "a guess")).startswith("rejected")
    assert outcome(door.associate("STRICT", 2, "tom", PASSWORD)).startswith("rejected")
    door.clock.advance(seconds=5)
    assert outcome(door.associate("STRICT", 2, "tom", PASSWORD)) == "confirmed"


@pytest.mark.peer("dcmtk")
@pytest.mark.parametrize(
    ("title", "options", "code"),
    [
        ("STRICT", ["--user", "tom", "--password", PASSWORD, "--pos-response"], 0),
        ("STRICT", ["--user", "tom", "--password", "wrong"], 1),
        ("STRICT", [], 1),
        ("OPEN", ["--user", "tom", "--pos-response"], 0),
    ],
)
def test_storescu_stores_for_a_user(door, running, title, options, code):
    program = shutil.which("storescu")
    if program is None:
        pytest.skip("storescu is not installed")
    file = str(get_testdata_file("CT_small.dcm", download=False))
    done = subprocess.run(
        [program, "-aet", title, "-aec", "ARCHIVE", *options, "127.0.0.1", str(door.port), file],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode == 0) == (code == 0), done.stderr
    assert [each.grant.user_name for each in running.archive.arrivals] == (
        ["tom"] if code == 0 else []
    )


@pytest.mark.peer("pynetdicom")
def test_the_window_of_asynchronous_operations_is_ours(door):
    association = door.associate("OPEN", invoked=0, performed=5)
    assert association.acceptor.asynchronous_operations == (16, 1)
    association.release()
    association = door.associate("OPEN", invoked=3, performed=0)
    assert association.acceptor.asynchronous_operations == (3, 1)
    association.release()
