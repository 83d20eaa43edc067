"""Storage commitment as peers ask for it: pynetdicom and dcmjs-dimse, on either association."""

import json
import os
import queue
import subprocess
import time
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.infra.blobs import open_store
from tests.contract.dimse.test_dcmjs import MODULES, NODE
from tests.dicom_site import SYSTEM, Site, a_file, free_port, until

pytestmark = pytest.mark.peer("pynetdicom")
INSTANCE = "1.2.840.10008.1.20.1.1"
VIEWER = Viewer.of(SYSTEM, Action.DELIVERY_READ)


@pytest.fixture
def site(loop, database, tmp_path):
    site = Site(loop, database, open_store((tmp_path / "objects").as_uri()), tmp_path)
    site.start()
    yield site
    site.close()


class Modality:
    """Asks for commitment, on an association that it keeps or not; notes every event."""

    def __init__(self, site: Site, title: str = "CT1") -> None:
        self.site = site
        self.events: queue.Queue[tuple[str, int, Dataset]] = queue.Queue()
        self.statuses = [0x0000]
        self.entity = AE(title)
        self.entity.network_timeout = self.entity.dimse_timeout = 10
        self.entity.add_requested_context(StorageCommitmentPushModel)
        self.entity.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        self.server = None

    def _noting(self, where: str):
        def note(event):
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            self.events.put((where, event.request.EventTypeID, event.event_information))
            return status, None

        return [(evt.EVT_N_EVENT_REPORT, note)]

    def listen(self, port: int) -> None:
        handlers = self._noting("new")
        self.server = self.entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=handlers
        )

    def associate(self):
        association = self.entity.associate(
            "127.0.0.1", self.site.port, ae_title="ARCHIVE", evt_handlers=self._noting("same")
        )
        assert association.is_established
        return association

    def ask(self, association, *references, uid: str | None = None, **action) -> tuple[str, int]:
        uid = uid or generate_uid()
        request = Dataset()
        request.TransactionUID = uid
        request.ReferencedSOPSequence = [_reference(*each) for each in references]
        status, _ = association.send_n_action(
            request,
            action.get("action", 1),
            StorageCommitmentPushModel,
            action.get("instance", INSTANCE),
        )
        return uid, status.Status

    def told(self, timeout_s: float = 10) -> tuple[str, int, Dataset]:
        return self.events.get(timeout=timeout_s)

    def close(self) -> None:
        if self.server is not None:
            self.server.shutdown()


def _reference(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = instance
    return item


@pytest.fixture
def modality(site):
    site.add_peer("CT1", free_port(), "store")
    modality = Modality(site)
    yield modality
    modality.close()


def named(dataset: Dataset) -> tuple[str, str]:
    return dataset.SOPClassUID, dataset.SOPInstanceUID


def states(site: Site) -> list[str]:
    with site.database.read() as tx:
        return [each.state for each in distribution.commitments(tx, VIEWER)]


def test_the_answer_comes_on_the_association_that_stands(site, modality):
    kept = site.admit(a_file())
    site.work()
    association = modality.associate()
    uid, status = modality.ask(association, named(kept))
    where, event, result = modality.told()
    until(lambda: states(site) == ["reported"])
    association.release()
    assert (status, where, event) == (0, "same", 1)
    assert result.TransactionUID == uid
    assert [each.ReferencedSOPInstanceUID for each in result.ReferencedSOPSequence] == [
        kept.SOPInstanceUID
    ]
    assert "FailedSOPSequence" not in result


def test_a_peer_that_has_gone_is_called_and_called_again_until_it_listens(site, modality):
    kept = site.admit(a_file())
    with site.database.transaction() as tx:
        tx.run("delete from peers.dicom_peer")
    port = free_port()
    site.add_peer("CT1", port, "store", host="127.0.0.0/8")  # called where it called from
    association = modality.associate()
    uid, _ = modality.ask(association, named(kept))
    association.release()
    site.work()
    until(lambda: states(site) == ["decided"])
    time.sleep(0.4)
    modality.listen(port)
    where, event, result = modality.told()
    assert (where, event, result.TransactionUID) == ("new", 1, uid)
    until(lambda: states(site) == ["reported"])


def test_a_peer_that_fails_to_note_the_answer_is_told_again(site, modality):
    kept = site.admit(a_file())
    with site.database.transaction() as tx:
        tx.run("delete from peers.dicom_peer")
    port = free_port()
    site.add_peer("CT1", port, "store")
    modality.statuses = [0x0110, 0x0000]
    modality.listen(port)
    site.work()
    association = modality.associate()
    modality.ask(association, named(kept))
    association.abort()
    assert [modality.told()[0] for _ in range(2)] == ["new", "new"]
    until(lambda: states(site) == ["reported"])


def test_only_what_was_read_back_is_committed(site, modality):
    whole = site.admit(a_file())
    damaged = site.admit(a_file(SOPInstanceUID="1.2.3.4"))
    missing = site.admit(a_file(SOPInstanceUID="1.2.3.5"))
    files = {path.read_bytes(): path for path in site.folder.rglob("*") if path.is_file()}
    for data, path in files.items():
        if b"1.2.3.4\0" in data:
            path.chmod(0o600)
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        if b"1.2.3.5\0" in data:
            path.unlink()
    site.work()
    association = modality.associate()
    asked = [
        named(whole),
        named(damaged),
        named(missing),
        (str(whole.SOPClassUID), "1.2.3.6"),
        ("1.2.840.10008.5.1.4.1.1.4", str(whole.SOPInstanceUID)),
    ]
    modality.ask(association, *asked)
    _, event, result = modality.told()
    association.release()
    assert event == 2
    assert [each.ReferencedSOPInstanceUID for each in result.ReferencedSOPSequence] == [
        whole.SOPInstanceUID
    ]
    assert [
        (each.ReferencedSOPClassUID, each.ReferencedSOPInstanceUID, each.FailureReason)
        for each in result.FailedSOPSequence
    ] == [(*asked[1], 0x0110), (*asked[2], 0x0110), (*asked[3], 0x0112), (*asked[4], 0x0119)]


def test_a_repetition_is_answered_again_and_a_reused_transaction_refused(site, modality):
    kept, other = site.admit(a_file()), site.admit(a_file(SOPInstanceUID="1.2.3.4"))
    site.work()
    association = modality.associate()
    uid, _ = modality.ask(association, named(kept))
    assert modality.told()[1] == 1
    until(lambda: states(site) == ["reported"])
    modality.ask(association, named(kept), uid=uid)
    assert modality.told()[1] == 1
    until(lambda: states(site) == ["reported"])
    _, status = modality.ask(association, named(other), uid=uid)
    _, event, result = modality.told()
    association.release()
    assert (status, event) == (0, 2)
    assert [each.FailureReason for each in result.FailedSOPSequence] == [0x0131]


def test_what_is_no_request_is_refused_with_the_standards_words(site, modality):
    kept = named(site.admit(a_file()))
    site.add_peer("READER", free_port(), "find")
    association = modality.associate()
    assert modality.ask(association, kept, action=2)[1] == 0x0123
    assert modality.ask(association, kept, instance="1.2.3")[1] == 0x0112
    assert modality.ask(association)[1] == 0x0115
    association.release()
    reader = Modality(site, "READER")
    association = reader.associate()
    assert reader.ask(association, kept)[1] == 0x0124
    association.release()
    assert states(site) == []


def test_a_worker_that_dies_in_the_middle_loses_nothing(site, modality):
    kept = site.admit(a_file())
    port = free_port()
    with site.database.transaction() as tx:
        tx.run("update peers.dicom_peer set port = %s", (port,))
    association = modality.associate()
    modality.ask(association, named(kept))
    association.release()
    with site.database.transaction() as tx:  # claimed by somebody who will never come back
        now = tx.value("select now()")
        assert distribution.claim_commitment(tx, lease_s=0.2, now=now)
    modality.listen(port)
    site.work()
    assert modality.told()[:2] == ("new", 1)


@pytest.mark.peer("dcmjs-dimse")
@pytest.mark.skipif(
    NODE is None or not (MODULES / "dcmjs-dimse").is_dir(),
    reason="node or dcmjs-dimse is not installed",
)
@pytest.mark.parametrize("where", ["same", "new"])
def test_dcmjs_dimse_is_told_on_either_association(site, where):
    kept = site.admit(a_file())
    port = free_port()
    site.add_peer("DCMJS", port, "store")
    site.work()
    script = Path(__file__).with_name("dcmjs_commitment.cjs")
    arguments = [str(site.port), str(port), where, *map(str, named(kept))]
    result = subprocess.run(
        [str(NODE), str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": os.defpath, "NODE_PATH": str(MODULES)},
        check=False,
    )
    lines = [json.loads(each) for each in result.stdout.splitlines() if each.startswith("{")]
    assert lines == [
        {"action": 0},
        {"event": 1, "where": where, "instances": [kept.SOPInstanceUID]},
    ], result.stdout + result.stderr
    until(lambda: states(site) == ["reported"])
