"""What is needed to check that every stored object is still what was admitted."""

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive.model import StoredDigest
from isocenter.infra.db import Tx


def digests(tx: Tx, actor: Actor, *, after: int, limit: int) -> list[StoredDigest]:
    """A page of all instances with their digests; ``after`` is the last key of the page before."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.digests(tx, after=after, limit=limit)


def count_digests(tx: Tx, actor: Actor) -> int:
    """How many instances ``digests`` gives altogether."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.count_instances(tx)
