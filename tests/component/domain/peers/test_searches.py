"""Searches of a long log of messages read what they show, however rare it is."""

import pytest

from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.infra.db import Database

SYSTEM = Actor.system("test")
MESSAGES = 20_000
# Two peers say nearly all, and one of them is refused often, the other one never.
_FILL = """
insert into peers.message
       (direction, peer, control_id, message_type, body_digest, raw, acknowledgement_code, effect,
        error, received_at)
select 'in',
       case when mod(n, 8000) = 0 then 'QUIET' when mod(n, 2) = 0 then 'SOUND' else 'BROKEN' end,
       'C' || n, 'ADT^A08', sha256(n::text::bytea), '', 'AA', '',
       case when mod(n, 4) = 1 or n = 8000 then 'refused' end,
       now() - (20001 - n) * interval '1 second'
  from generate_series(%s::int, %s::int) n
"""
# Every twentieth is about the same person.
_WORDS = """
insert into peers.message_words (message_key, words)
select message_key,
       array_to_tsvector(array['phantom', 'ada' || mod(substr(control_id, 2)::int, 20) + 100])
  from peers.message
"""


@pytest.fixture
def log(database: Database) -> Database:
    with database.transaction() as tx:
        tx.run(_FILL, (1, MESSAGES // 2))
        # Much was said between the first half and the second one.
        tx.value("select setval(pg_get_serial_sequence('peers.message', 'message_key'), 900000)")
        tx.run(_FILL, (MESSAGES // 2 + 1, MESSAGES))
        tx.run(_WORDS)
    with database.statement() as tx:  # as the server does by itself after so many
        tx.run("vacuum analyze peers.message, peers.message_words")
    return database


def rows_read(tx, table):
    return tx.value(
        "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables"
        " where schemaname = 'peers' and relname = %s",
        (table,),
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (MessageFilter(peer="QUIET"), ["C16000", "C8000"]),
        (MessageFilter(with_error=True, peer="QUIET"), ["C8000"]),
        (MessageFilter(with_error=True, peer="SOUND"), []),
    ],
)
def test_what_is_rare_is_found_without_reading_the_rest(log, wanted, found):
    with log.read() as tx:
        before = rows_read(tx, "message")
        listed = peers.search_messages(tx, SYSTEM, wanted, limit=50)
        read = rows_read(tx, "message") - before

    assert [each.control_id for each in listed] == found
    assert read <= 10


@pytest.mark.parametrize("text", ["ada119", "phantom ada119", "ada11"])
def test_words_are_looked_for_among_the_latest_messages_first(log, text):
    with log.read() as tx:
        before = rows_read(tx, "message_words")
        wanted = MessageFilter(text=text, peer="BROKEN")
        listed = peers.search_messages(tx, SYSTEM, wanted, limit=400)
        read = rows_read(tx, "message_words") - before

    assert len(listed) == 400
    assert listed[0].control_id == "C19999"
    # The latest 2,000, twice where there are two words, and of all others half of what there is.
    assert read <= 2 * 2_000 + 600
