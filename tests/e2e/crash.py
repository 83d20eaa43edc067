"""Killing a role of a running installation while a load lasts, and the installation for it."""

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.certificates import an_identity
from tests.e2e.conftest import set_up_hospital
from tests.e2e.hl7_peers import ResultReceiver
from tests.e2e.product import Product, until

KILLS_PER_ROLE = 4


def running_hospital(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Product, ResultReceiver]]:
    """One installation that survives all tests of a module, one after the other; over HTTPS."""
    ehr = ResultReceiver()
    folder = tmp_path_factory.mktemp("crash")
    settings = {
        "ISOCENTER_STUDY_QUIET_S": "2",
        "ISOCENTER_RESTART_WAIT_MAX_S": "1",
        "ISOCENTER_DIMSE_PROCESSES": "2",
        "ISOCENTER_HL7_PROCESSES": "2",
    }
    product = Product(folder, an_identity(folder), **settings)
    set_up_hospital(product, ehr)
    yield product, ehr
    product.stop()
    ehr.close()


def kill_repeatedly(product: Product, role: str, finished: threading.Event) -> int:
    """Kill the role at random moments while the load lasts; return how often."""
    moments = random.Random(4711)
    kills = 0
    while not finished.is_set() and kills < KILLS_PER_ROLE:
        until(lambda: product.role_processes(role), what=f"{role} is back")
        time.sleep(moments.uniform(0.2, 1.2))
        product.kill(role)
        kills += 1
    return kills


def under_load(product: Product, role: str, load: Callable[[], None]) -> int:
    """Kill the role while ``load`` is at work; how often. The product is ready again then."""
    finished = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            load()
        except BaseException as error:  # noqa: BLE001 - carried to the test that waits
            failures.append(error)
        finally:
            finished.set()

    worker = threading.Thread(target=run)
    worker.start()
    kills = kill_repeatedly(product, role, finished)
    worker.join(timeout=180)
    assert not worker.is_alive(), "the load did not end"
    assert not failures, failures
    assert kills
    until(product.ready, timeout_s=60, what="ready again after the kills")
    return kills
