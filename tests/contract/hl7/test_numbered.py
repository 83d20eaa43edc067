"""Numbered messages (MSH-13) to a receiver that keeps to HL7 v2.5.1 2.10.1 to the letter."""

import hl7
import pytest

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.infra.clock import utc_now
from tests.contract.hl7.receivers import FS_CR, VT, RawReceiver
from tests.contract.hl7.test_sending import (
    ACTOR,
    add_peer,
    deliveries,
    eventually,
    sending,
    sign,
    states,
)


class Numbered:
    """Takes what is next. ``whim``: by the number of a message, what happens the first time."""

    def __init__(self, last=None, *, echoes=False):
        self.last, self.echoes = last, echoes
        self.whims = {}
        self.taken = []
        self.numbers = []

    def __call__(self, connection, message, count):
        parsed = hl7.parse(message.decode())
        header = parsed.segment("MSH")
        number = int(str(header[13]))
        self.numbers.append(number)
        if number <= 0:
            assert len(parsed) == 1, "what starts a link says nothing else"
            self.last = self.last if number == 0 else None
            return self.answer(connection, header, "AA", self.expected)
        whim = self.whims.pop(number, None)
        if whim == "lost":
            return connection.close()
        if number != self.expected != -1:
            return self.answer(connection, header, "AR", self.expected)
        if whim == "refused":
            return self.answer(connection, header, "AE", None)
        self.last = number
        self.taken.append(str(parsed.segment("OBR")[18]))
        if whim == "taken and silent":
            return connection.close()
        return self.answer(connection, header, "AA", number if self.echoes else self.expected)

    @property
    def expected(self):
        return -1 if self.last is None else self.last + 1

    def answer(self, connection, header, code, expected):
        msa = f"MSA|{code}|{header[10]}||{'' if expected is None else expected}"
        text = f"MSH|^~\\&|EHR|H|I|R|2026||ACK|{header[10]}A|P|2.5.1\r{msa}\r"
        connection.sendall(VT + text.encode() + FS_CR)


@pytest.fixture
def connected(database):
    """A receiver, known as a peer that wants numbers."""
    made = []

    def connect(behave):
        raw = RawReceiver(behave)
        made.append(raw)
        add_peer(database, raw.port, sequence_numbers_sent=True, ordering="all")
        return behave

    yield connect
    for each in made:
        each.close()


def destination(database):
    with database.read() as tx:
        [found] = distribution.destinations(tx, Viewer.of(ACTOR, Action.DELIVERY_READ))
    return found


@pytest.mark.parametrize(
    ("last", "numbers"), [(None, [0, 1, 2, 3]), (41, [0, 42, 43, 44])], ids=["new", "known"]
)
@pytest.mark.parametrize("echoes", [True, False])
def test_a_link_is_started_and_its_messages_are_numbered(
    database, connected, last, numbers, echoes
):
    ehr = connected(Numbered(last, echoes=echoes))
    for each in ("A1", "A2", "A3"):
        sign(database, each)
    with sending(database):
        eventually(lambda: states(database) == ["acknowledged"] * 3)
    assert (ehr.taken, ehr.numbers) == (["A1", "A2", "A3"], numbers)
    with database.transaction() as tx:
        logged = peers.search_messages(tx, ACTOR, MessageFilter(direction="out"))
        newest = peers.message(tx, ACTOR, logged[0].message_key, now=utc_now())
    assert newest.raw.split(b"\r")[0].split(b"|")[12] == b"%d" % numbers[-1]


def test_what_was_taken_is_not_sent_again_when_its_acknowledgement_is_lost(database, connected):
    ehr = connected(Numbered())
    ehr.whims = {2: "taken and silent", 3: "lost"}
    for each in ("A1", "A2", "A3"):
        sign(database, each)
    with sending(database):
        eventually(lambda: states(database) == ["acknowledged"] * 3)
    assert ehr.taken == ["A1", "A2", "A3"]
    assert ehr.numbers == [0, 1, 2, 0, 3, 0, 3]


def test_it_goes_on_where_it_was_after_a_stop(database, connected):
    ehr = connected(Numbered())
    for each in ("A1", "A2"):
        sign(database, each)
        with sending(database):
            eventually(lambda: set(states(database)) == {"acknowledged"})
    assert ehr.numbers == [0, 1, 0, 2]


def test_what_is_refused_uses_up_no_number(database, connected):
    ehr = connected(Numbered())
    ehr.whims = {2: "refused"}
    for each in ("A1", "A2", "A3"):
        sign(database, each)
    with sending(database):
        eventually(lambda: states(database) == ["acknowledged", "refused", "acknowledged"])
    assert ehr.taken == ["A1", "A3"]
    assert ehr.numbers == [0, 1, 2, 0, 2]


def test_a_receiver_that_fell_behind_freezes_the_link_until_a_person_resumes_it(
    database, connected
):
    ehr = connected(Numbered())
    for each in ("A1", "A2", "A3"):
        sign(database, each)
    with sending(database):
        eventually(lambda: states(database) == ["acknowledged"] * 3)
    ehr.last = 1  # it was set up from a copy of before
    sign(database, "A4")
    with sending(database):
        eventually(lambda: destination(database).paused_at is not None)
        assert ehr.taken == ["A1", "A2", "A3"]
        assert "expects message number 2, and 4 is the next" in destination(database).pause_reason
        with database.transaction() as tx:
            distribution.resume(tx, ACTOR, "EHR", now=utc_now())
        eventually(lambda: states(database) == ["acknowledged"] * 4)
    assert ehr.taken[3:] == ["A4"]
    assert ehr.numbers[-3:] == [0, -1, 4]


def test_a_receiver_that_lost_the_last_message_is_told_of(database, connected):
    ehr = connected(Numbered())
    sign(database, "A1")
    with sending(database):
        eventually(lambda: states(database) == ["acknowledged"])
    ehr.last = 0
    sign(database, "A2")
    with sending(database):
        eventually(lambda: destination(database).paused_at is not None)
    assert ehr.taken == ["A1"]


def test_a_receiver_that_knows_no_numbers_is_waited_for_with_a_reason(database, connected):
    class Knows(Numbered):
        def answer(self, connection, header, code, expected):
            super().answer(connection, header, "AR", None)

    connected(Knows())
    sign(database, "A1")
    with sending(database):
        eventually(lambda: deliveries(database)[0].last_error)
        [waiting] = deliveries(database)
    assert waiting.state.value == "queued"
    assert "the link was not started: AR" in waiting.last_error
