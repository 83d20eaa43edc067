"""Processor time and database work of an installation: figures that a busy machine blurs least."""

import os
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isocenter.infra import embedded_postgres, outbox
from isocenter.infra.db import Database
from tools.bench.receivers import descendants

SETTLED_S = 120.0
_LARGEST = 6
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_WORK = """
select xact_commit + xact_rollback as transactions, tup_inserted as inserted,
       tup_updated as updated, tup_deleted as deleted,
       (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint as log_bytes
  from pg_stat_database where datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What PostgreSQL did since it was made."""

    transactions: int
    inserted: int
    updated: int
    deleted: int
    log_bytes: int


_CLIENTS = """
select pid, application_name from pg_stat_activity where datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class _Client:
    """One of the server's processes, and for whom it works."""

    pid: int
    application_name: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent until now.

    Attributes:
        processor_s: seconds of processor time by part.
        within_s: the same within the parts, as far as the system tells: the event loops of ``hl7``
            and its other threads, the server's time by the program that it works for.
        work: the database's.
    """

    processor_s: Mapping[str, float]
    within_s: Mapping[str, float]
    work: Work


class Meter:
    """Reads what the installation under ``home``, whose supervisor is ``process_id``, spends."""

    def __init__(self, process_id: int, home: Path) -> None:
        self._process_id = process_id
        server = embedded_postgres.start(home, share=True)
        self._db = Database(server.url, connections_max=1, application_name="bench")

    @property
    def database(self) -> Database:
        """The installation's database."""
        return self._db

    def read(self) -> Spent:
        """Return what was spent, after all reactions to what was sent are done."""
        deadline = time.monotonic() + SETTLED_S
        while time.monotonic() < deadline:
            with self._db.read() as tx:
                waiting = outbox.count_waiting(tx)
            if waiting == 0:
                break
            time.sleep(0.1)
        with self._db.transaction() as tx:
            work = tx.one(Work, _WORK)
            clients = {e.pid: e.application_name for e in tx.all(_Client, _CLIENTS)}
        processor_s = {**_processor_s(self._process_id), "sender": time.process_time()}
        return Spent(processor_s, _within_s(self._process_id, clients), work)

    def close(self) -> None:
        """Disconnect."""
        self._db.close()


def _processor_s(process_id: int) -> dict[str, float]:
    """Return user and system time by role; the server's processes together are ``postgres``."""
    spent: defaultdict[str, float] = defaultdict(float)
    for child in descendants(process_id):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):  # ended just now
            continue
        role = re.search(r"\brun (\w+)", command)
        is_server = "postgres" in command.split(" ", 1)[0]
        part = role[1] if role else "postgres" if is_server else "other"
        # Of the server's first process also the time of children that have ended (fields 16, 17).
        last = 15 if is_server and not command.startswith("postgres:") else 13
        spent[part] += sum(int(field) for field in fields[11:last]) / _TICKS_PER_S
    return spent


def _within_s(process_id: int, clients: Mapping[int, str]) -> dict[str, float]:
    """Return user and system time within the parts: see ``Spent``."""
    spent: defaultdict[str, float] = defaultdict(float)
    for child in descendants(process_id):
        with suppress(FileNotFoundError, ProcessLookupError):  # ended just now
            if child in clients:
                name = clients[child].removeprefix("isocenter-")
                spent[f"PostgreSQL for {name}"] += _ticks(Path(f"/proc/{child}/stat"))
            elif b"\0run\0hl7\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                for thread in Path(f"/proc/{child}/task").iterdir():
                    what = "event loop" if thread.name == str(child) else "messages"
                    spent[f"hl7 {what}"] += _ticks(thread / "stat")
    return {name: ticks / _TICKS_PER_S for name, ticks in spent.items()}


def _ticks(stat: Path) -> int:
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def profile(before: Spent, after: Spent, messages: int) -> str:
    """Return one line: the largest of what is told within the parts, for each message."""
    spent_ms = {
        name: (after.within_s[name] - before.within_s.get(name, 0.0)) * 1000 / messages
        for name in after.within_s
    }
    largest = sorted(spent_ms, key=lambda name: -spent_ms[name])[:_LARGEST]
    return "of it " + ", ".join(f"{name} {spent_ms[name]:.2f}" for name in largest)


def per_message(before: Spent, after: Spent, messages: int) -> str:
    """Return one line: milliseconds by part, and the database's work, for each message."""
    parts = {
        name: (after.processor_s[name] - before.processor_s.get(name, 0.0)) * 1000 / messages
        for name in ("hl7", "worker", "postgres", "sender")
    }
    listed = ", ".join(f"{name} {spent_ms:.2f}" for name, spent_ms in parts.items())
    transactions = (after.work.transactions - before.work.transactions) / messages
    rows = (
        after.work.inserted + after.work.updated - before.work.inserted - before.work.updated
    ) / messages
    removed = (after.work.deleted - before.work.deleted) / messages
    log_bytes = (after.work.log_bytes - before.work.log_bytes) / messages
    return (
        f"processor time for each message {sum(parts.values()):.2f} ms ({listed}),"
        f" {transactions:.2f} transactions, {rows:.1f} rows written, {removed:.1f} removed,"
        f" {log_bytes:.0f} bytes of log"
    )
