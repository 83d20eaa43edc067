"""Searches of a large log of HL7 messages: 1,000,000 by default, written by SQL.

They are asked as the workbench asks, each for something else, on a connection of their own; the
time is until the last row of a page is there.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.infra import embedded_postgres
from isocenter.infra.db import Database
from isocenter.infra.db.migrate import migrate

_AT_ONCE: Final = 50_000
_PAGE: Final = 50
_ACTOR: Final = Actor.system("bench")
# A name is shared by 500 messages, every message says "phantom", and every eighth was refused.
_ROWS: Final = """
with said as (
    insert into peers.message
           (direction, peer, control_id, message_type, body_digest, raw, acknowledgement_code,
            patient_id, accession_number, effect, error, received_at)
    select 'in', 'EHR' || mod(n, 20), 'C' || n, (array['ADT^A08', 'ORM^O01'])[mod(n, 2) + 1],
           sha256(n::text::bytea), convert_to(repeat('x', 900), 'UTF8'), 'AA', 'P' || n / 10,
           'A' || n / 2, 'new order: created', case when mod(n, 8) = 0 then 'refused' end,
           now() - (%(total)s - n) * interval '1 second'
      from generate_series(%(first)s::int, %(last)s::int) n
    returning message_key, control_id, patient_id, accession_number)
insert into peers.message_words (message_key, words)
select message_key, array_to_tsvector(array(select distinct unnest(array[
           'msh', 'adt', 'orm', 'p', '2', '5', '1', '2.5.1', 'phantom', 'ct', 'chest', 'contrast',
           'radiology', 'mr', 'gh', 'o', 'nw', 'cough', lower(patient_id), lower(control_id),
           lower(accession_number), 'order:plc-' || substr(control_id, 2),
           'plc-' || substr(control_id, 2), substr(control_id, 2),
           'ada' || mod(substr(control_id, 2)::int, 2000)]
           || array(select 'word' || mod(substr(control_id, 2)::int * k, 9973)
                      from generate_series(1, 16) k))))
  from said
"""
_Wish = Callable[[int], MessageFilter]


@dataclass(frozen=True, slots=True)
class MessagesRun:
    """How many messages there are, and how often each search is asked."""

    messages: int = 1_000_000
    asked: int = 200


@dataclass(frozen=True, slots=True)
class MessagesResult:
    """What was measured, in milliseconds by search: median and 95th percentile."""

    filled_in_s: float
    searches: Mapping[str, tuple[float, float]]


def measure(run: MessagesRun, *, folder: Path) -> MessagesResult:
    """Fill a log and search it."""
    server = embedded_postgres.start(folder / "messages")
    try:
        migrate(server.url)
        database = Database(server.url, application_name="bench", connections_max=1)
        filled_in_s = _fill(database, run)
        found = {name: _times(database, wish, run) for name, wish in _searches().items()}
        database.close()
    finally:
        server.stop()
    return MessagesResult(filled_in_s, found)


def _fill(database: Database, run: MessagesRun) -> float:
    began = time.monotonic()
    for first in range(1, run.messages + 1, _AT_ONCE):
        last = min(first + _AT_ONCE - 1, run.messages)
        with database.transaction() as tx:
            tx.run(_ROWS, {"first": first, "last": last, "total": run.messages})
    with database.transaction() as tx:
        tx.run("analyze peers.message")
        tx.run("analyze peers.message_words")
    return time.monotonic() - began


def _searches() -> dict[str, _Wish]:
    return {
        "newest": lambda n: MessageFilter(before=n),
        "control ID": lambda n: MessageFilter(control_id=f"C{n}"),
        "accession number": lambda n: MessageFilter(accession_number=f"A{n // 2}"),
        "patient ID": lambda n: MessageFilter(patient_id=f"P{n // 10}"),
        "order number": lambda n: MessageFilter(order_number=f"PLC-{n}"),
        "a rare word": lambda n: MessageFilter(text=f"ada{n % 2000}"),
        "beginning of a word": lambda n: MessageFilter(text=f"plc-{n // 100}"),
        "a word of every message": lambda _: MessageFilter(text="phantom"),
        "two words, one common": lambda n: MessageFilter(text=f"phantom ada{n % 2000}"),
        "word and peer": lambda n: MessageFilter(text=f"word{n % 9973}", peer=f"EHR{n % 20}"),
        "refused, of a peer": lambda n: MessageFilter(with_error=True, peer=f"EHR{n % 20}"),
        "nothing": lambda n: MessageFilter(text=f"absent{n}"),
    }


def _times(database: Database, wish: _Wish, run: MessagesRun) -> tuple[float, float]:
    chance = random.Random(7)  # noqa: S311 - the same searches in every run
    taken_ms: list[float] = []
    for _ in range(run.asked):
        wanted = wish(chance.randint(1, run.messages))
        began = time.perf_counter()
        with database.read() as tx:
            peers.search_messages(tx, _ACTOR, wanted, limit=_PAGE)
        taken_ms.append((time.perf_counter() - began) * 1000)
    points = quantiles(taken_ms, n=20)
    return points[9], points[18]
