"""Reads every stored object back and compares size and digest with what was admitted.

It changes nothing. What is damaged is for a person to restore from a copy.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import StoredDigest
from isocenter.domain.audit import service as audit
from isocenter.errors import IsocenterError
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Database

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Damaged:
    """An object that is not what was admitted."""

    sop_instance_uid: str
    blob_key: str
    reason: str


@dataclass
class VerificationReport:
    """What was found.

    Attributes:
        broken_audit_record: key of the first audit record whose chain does not hold, if any.
    """

    checked: int = 0
    damaged: list[Damaged] = field(default_factory=list[Damaged])
    broken_audit_record: int | None = None

    def as_row(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self)


def verify(
    db: Database, blobs: BlobStore, actor: Actor, *, on_progress: Callable[[int, int], None]
) -> VerificationReport:
    """Check all objects of the archive, and the audit chain."""
    report = VerificationReport()
    with db.read() as tx:
        total = archive.count_digests(tx, actor)
    after = 0
    while True:
        with db.read() as tx:
            page = archive.digests(tx, actor, after=after, limit=_PAGE)
        if not page:
            break
        for each in page:
            reason = _damage(blobs, each)
            if reason:
                report.damaged.append(Damaged(each.sop_instance_uid, each.blob_key, reason))
            report.checked += 1
            on_progress(report.checked, total)
        after = page[-1].instance_key
    with db.read() as tx:
        report.broken_audit_record = audit.verify_chain(tx)
    return report


def _damage(blobs: BlobStore, stored: StoredDigest) -> str:
    """What is wrong with an object; empty when nothing is."""
    try:
        return archive.damage(blobs, stored)
    except IsocenterError as error:
        return f"cannot be read: {error}"
