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
  from generate_series(1, %s) n
"""


@pytest.fixture
def log(database: Database) -> Database:
    with database.transaction() as tx:
        tx.run(_FILL, (MESSAGES,))
    with database.statement() as tx:  # as the server does by itself after so many
        tx.run("vacuum analyze peers.message")
    return database


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
        listed = peers.search_messages(tx, SYSTEM, wanted, limit=50)
        rows_read = tx.value(
            "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables"
            " where schemaname = 'peers' and relname = 'message'"
        )

    assert [each.control_id for each in listed] == found
    assert rows_read <= 10
