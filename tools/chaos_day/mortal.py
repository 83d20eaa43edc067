"""A database whose processes die: any transaction may be the last, before or after its commit."""

import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from isocenter.infra.db import Database, Router, Tx

_CHANGES = "select pg_current_xact_id_if_assigned() is not null"
_BEFORE = 0.5


class Killed(BaseException):
    """The process died here. Nothing in it handles this: nothing handles kill -9."""


@dataclass
class Fate:
    """When processes die.

    Attributes:
        chance: of dying at a commit that changes something, as often before it as after it.
        before: how often one died with its transaction undone.
        after: how often one died with its transaction done and nobody told.
    """

    rng: random.Random
    chance: float
    before: int = 0
    after: int = 0

    def strikes(self) -> bool:
        """Whether somebody dies now."""
        return self.rng.random() < self.chance


class MortalDatabase(Database):
    """The connections of one process. When it is dead, nothing of it reaches the database."""

    def __init__(self, url: str, fate: Fate, router: Router) -> None:
        super().__init__(url, router=router, connections_max=6)
        self._fate = fate
        self.dead = False

    @contextmanager
    def transaction(self) -> Generator[Tx, None, None]:
        """As of any database, but the process may die of it."""
        self._must_live()
        with super().transaction() as tx:
            yield tx
            # Who has changed nothing has nothing to lose.
            strikes = self._fate.strikes() and tx.value(_CHANGES)
            if strikes and self._fate.rng.random() < _BEFORE:
                self._fate.before += 1
                self._die()
        if strikes:
            self._fate.after += 1
            self._die()

    @contextmanager
    def read(self) -> Generator[Tx, None, None]:
        """As of any database, while the process lives."""
        self._must_live()
        with super().read() as tx:
            yield tx

    def _must_live(self) -> None:
        if self.dead:
            raise Killed

    def _die(self) -> None:
        self.dead = True
        raise Killed
