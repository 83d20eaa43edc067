"""HAPI, the HL7 library of the Java world, sends to us and receives from us.

Its strict models parse every answer and every result: what it cannot place is an error there.
"""

import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from tests.contract.hl7.listening import listening
from tests.contract.hl7.test_sending import ACTOR, add_peer, eventually, sending, sign, states
from tests.contract.query_retrieve.conftest import free_port
from tests.e2e.hl7_peers import order, registration

PEER = Path(__file__).with_name("HapiPeer.java")
REPOSITORY = Path("~/.m2/repository").expanduser()
LIBRARIES = (
    *(f"ca/uhn/hapi/{name}/2.6.0/{name}-2.6.0.jar" for name in (
        "hapi-base", "hapi-structures-v231", "hapi-structures-v25", "hapi-structures-v251",
    )),
    "org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar",
)  # fmt: skip


class Hapi:
    """The Java process; lines go in and come out."""

    def __init__(self, port: int, to: int, folder: Path) -> None:
        jars = [REPOSITORY / each for each in LIBRARIES]
        if shutil.which("javac") is None or not all(each.exists() for each in jars):
            pytest.skip("HAPI could not be fetched")
        self.process = subprocess.Popen(
            ["java", "-cp", os.pathsep.join(map(str, jars)), PEER, str(port), str(to)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,  # it counts its control ids in a file there
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.decode().rstrip("\n"))

    def next(self) -> list[str]:
        return self._lines.get(timeout=90).split("\t")

    def send(self, message: bytes) -> list[str]:
        self.process.stdin.write(message.replace(b"\r", b"\\r") + b"\n")
        self.process.stdin.flush()
        return self.next()

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def test_hapi_sends_what_we_apply_and_files_what_we_send(database, tmp_path):
    ehr = Hl7Peer("HAPI", "127.0.0.1", receive=frozenset({"adt", "orm"}))
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, ACTOR, ehr, now=utc_now())
    port = free_port()
    with listening(database, ServerOptions(port=0)) as ours:
        hapi = Hapi(port, ours, tmp_path)
        try:
            assert hapi.next() == ["ready"]
            # It generates and parses 2.5.1 and 2.3.1.
            said = registration("HAPI1", "Phantom^Zoë", control_id="h1")
            said = said.replace(b"|P|2.5.1", b"|P|2.5.1||||||UNICODE UTF-8")
            assert hapi.send(said) == ["answered", "ACK", "AA", "h1"]
            with database.read() as tx:
                assert identity.find(tx, "HAPI1").person_name == "Phantom^Zoë"
            placed = order("HAPI1", "Phantom^Zoe", control_id="h2", placer="HP1", accession="HACC1")
            assert hapi.send(placed) == ["answered", "ACK", "AA", "h2"]
            again = order("NEW", "Phantom^No", control_id="h3", placer="HP2", accession="HACC1")
            assert hapi.send(again) == ["answered", "ACK", "AE", "h3"]
            with database.read() as tx:
                assert orders.exam(tx, "HACC1").order.placer_order_number == "HP1"
            text = "Normal head.\nNo fracture | no bleed ^ 5&6\\7."
            add_peer(database, port, name="EHR", version="2.5.1", ack_timeout_s=20)
            sign(database, "H9", text=text)
            with sending(database):
                received = hapi.next()
                eventually(lambda: states(database) == ["acknowledged"])
        finally:
            hapi.close()
    assert received[:7] == ["received", "ORU_R01", "P-H9", "Phantom", "Zoë", "H9", "F"]
    assert received[-2:] == text.split("\n")
