"""The workbench at the command line: messages are found, read and compared; interfaces are told."""

import pytest
from typer.testing import CliRunner

from isocenter.app.cli.commands import app
from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.receive import Caller, receive, refuse, understand
from isocenter.gateways.hl7.refusal import MessageRefused
from isocenter.infra import log
from isocenter.infra.clock import utc_now
from tests.e2e.hl7_peers import order, registration

EHR = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt", "orm"}))


@pytest.fixture
def isocenter(tmp_path, database, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = {
        "ISOCENTER_HOME": str(tmp_path / "home"),
        "ISOCENTER_DATABASE_URL": database.url,
        "COLUMNS": "200",
    }

    def run(*arguments: str) -> str:
        try:
            done = CliRunner().invoke(app, ["hl7", *arguments], env=environment)
        finally:
            log.configure("warning")  # not to the runner's own stream any more
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.fixture
def received(database):
    """Three messages of the EHR; the last is refused."""
    caller, options, now = Caller("127.0.0.1", (EHR,)), ReceiveOptions(), utc_now()
    told = order("P2", "Phantom^Bob", control_id="c2", placer="PL2", accession="A2")
    refused = registration("P1", "Phantom^Ada", control_id="c3").replace(b"P1^^^HOSP^MR", b"")
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, Actor.system("test"), EHR, now=now)
        for message in (registration("P1", "Phantom^Ada", control_id="c1"), told):
            receive(tx, [understand(message, caller, options, now=now)], options, now=now)
        with pytest.raises(MessageRefused) as raised:
            understand(refused, caller, options, now=now)
        refuse(tx, refused, caller, raised.value, now=now)
        peers.keep_words(tx, limit=10, now=now)
        peers.count_traffic(tx, now=now)


@pytest.mark.usefixtures("received")
def test_messages_are_found_read_and_compared_and_their_interface_told(isocenter, database):
    def keys(*wanted: str) -> list[str]:
        return isocenter("search", "--output", "keys", *wanted).split()

    def only(*wanted: str) -> list[str]:
        return keys(*(part for each in wanted for part in ("--only", each)))

    third, second, first = keys()
    assert only("patient_id=P2") == keys("--accession-number", "A2") == [second]
    assert keys("--order-number", "PL2") == only("type=ORM^O01") == keys("bob") == [second]
    assert only("control_id=c1", "direction=in") == [first]
    assert keys("--with-error", "--peer", "EHR", "--only", "since=2026-01-01") == [third]
    assert only("until=2026-01-01") == only("direction=out") == only("reused=yes") == []
    assert '"control_id": "c2"' in isocenter("search", "--output", "json", "bob")

    shown = isocenter("show", third)
    assert "\nPID|1||||Phantom^Ada||19600229|F\n" in shown
    assert "MSA|AE|c3" in shown
    assert "Fill it in by editing" in shown
    assert "MSH-10: c1 -> c3" in isocenter("diff", first, third)

    health = isocenter("health", "--json")
    assert '"peer": "EHR"' in health
    assert '"in_24_h": 3' in health
    assert '"refused": 1' in health
    with database.read() as tx:
        sought = tx.values(
            "select concat_ws(' ', patient_id, object_id) from audit.record"
            " where action = 'message.search'"
        )
    assert {"P2 ", "A2", "c1", "bob"} <= set(sought)
