"""The SQL of shelves. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class ShelfRow:
    """Where objects were put whose senders were answered before the archive had them."""

    mark: str
    directory: str


_OPEN = "insert into archive.shelf (mark, directory, opened_at, renewed_at) values (%s, %s, %s, %s)"
_RENEW = "update archive.shelf set renewed_at = %s where mark = any(%s)"
_CLOSE = "delete from archive.shelf where mark = any(%s)"
_CLAIM = """
update archive.shelf
   set renewed_at = %(now)s
 where mark = (select mark
                 from archive.shelf
                where renewed_at < %(before)s
                order by renewed_at
                limit 1
                  for update skip locked)
returning mark, directory
"""


def open_shelf(tx: Tx, mark: str, directory: str, *, now: datetime) -> None:
    """Note a new shelf."""
    tx.run(_OPEN, (mark, directory, now, now))


def renew(tx: Tx, marks: Sequence[str], *, now: datetime) -> None:
    """Note that their owner is alive."""
    tx.run(_RENEW, (now, list(marks)))


def close(tx: Tx, marks: Sequence[str]) -> None:
    """Forget shelves."""
    tx.run(_CLOSE, (list(marks),))


def claim(tx: Tx, *, before: datetime, now: datetime) -> ShelfRow | None:
    """A shelf that was not renewed since ``before``; it is now, so that nobody else takes it."""
    return tx.maybe(ShelfRow, _CLAIM, {"before": before, "now": now})
