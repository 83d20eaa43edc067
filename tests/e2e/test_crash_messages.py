"""Kill -9 of each role under messages: none acknowledged is lost, none taken is sent again."""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.crash import running_hospital, under_load
from tests.e2e.hl7_peers import ResultReceiver, acknowledgement_code, order, registration, send
from tests.e2e.product import Product, until

ORDERS = 50


@pytest.fixture(scope="module")
def hospital(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Product, ResultReceiver]]:
    yield from running_hospital(tmp_path_factory)


@pytest.mark.parametrize("role", ["hl7", "worker"])
def test_every_order_that_was_acknowledged_is_there_once(hospital, role):
    product, _ = hospital
    acknowledged: list[str] = []

    def load() -> None:
        for number in range(ORDERS):
            accession = f"K{role}{number:05d}"
            patient, name = f"K{role}{number}", f"Phantom^K{number}"
            messages = (
                registration(patient, name, control_id=f"KR{role}{number}"),
                order(
                    *(patient, name),
                    control_id=f"KO{role}{number}",
                    placer=f"K{role}-{number}",
                    accession=accession,
                ),
            )
            for message in messages:
                deliver(product, message)
            acknowledged.append(accession)

    under_load(product, role, load)
    assert len(acknowledged) == ORDERS
    for accession in acknowledged:
        status, body = product.api("GET", f"/api/exams?accession_number={accession}")
        assert status == 200
        assert len(body["items"]) == 1, accession
    for accession in acknowledged[-3:]:
        until(product.reached(accession, "on_worklist"), what="events flow on after the kills")


def deliver(product: Product, message: bytes) -> None:
    """Send as an EHR does: the same message again until it is acknowledged."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answers = send(product.hl7_port, message)
        except OSError:
            time.sleep(0.1)
            continue
        if answers:
            assert acknowledgement_code(answers[0]) == "AA", answers[0]
            return
    raise AssertionError("never acknowledged")


@pytest.mark.parametrize("role", ["hl7", "worker", "web"])
def test_every_signed_report_arrives_and_none_again_after_its_acknowledgement(hospital, role):
    product, ehr = hospital
    count = 40
    for number in range(count):
        accession = f"R{role}{number:05d}"
        send(
            product.hl7_port,
            order(
                *(f"R{role}{number}", f"Phantom^R{number}"),
                control_id=f"RO{role}{number}",
                placer=f"R{role}-{number}",
                accession=accession,
            ),
        )

    def call(method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                status, answer = product.api(method, path, body)
            except (OSError, ValueError, TimeoutError):
                status, answer = 0, None
            if status and status < 500:
                return status, answer
            time.sleep(0.1)
        raise AssertionError(f"{path}: no answer")

    def load() -> None:
        for number in range(count):
            accession = f"R{role}{number:05d}"
            status, report = call(
                "POST", "/api/reports", {"accession_number": accession, "text": f"Normal {number}."}
            )
            if status == 409:  # an answer was lost with the process: the draft is there already
                _, exam = call("GET", f"/api/exams/{accession}")
                report = exam["reports"][0]
            status, _ = call("POST", f"/api/reports/{report['report_id']}/sign")
            assert status in {200, 409}
            time.sleep(0.05)

    before = len(ehr.received)
    kills = under_load(product, role, load)

    def all_acknowledged() -> bool:
        _, deliveries = product.api("GET", "/api/deliveries?limit=200")
        ours = [d for d in deliveries if d["accession_number"].startswith(f"R{role}")]
        states = Counter(d["state"] for d in ours)
        return states == {"acknowledged": count}

    until(all_acknowledged, timeout_s=120, what="every report acknowledged")
    received = ehr.received[before:]
    settled = len(received)
    by_control_id = Counter(str(m.segment("MSH")[10]) for m in received)
    assert len(by_control_id) == count
    # Only a process killed between receiving an acknowledgement and recording it may repeat a
    # message, and then it repeats the same one, under the same control id.
    assert settled - count <= kills
    bodies = {(str(m.segment("MSH")[10]), str(m)) for m in received}
    assert len(bodies) == count, "a repeated message is the same to the byte"
    time.sleep(3)
    assert len(ehr.received) == before + settled, "nothing is sent again after it was acknowledged"
