"""Reads every stored object back now, compares it with what was admitted, and checks the audit.

What is damaged is noted as the worker's scrubbing notes it, so that it is shown and alarms; it is
repaired from another store only when that is asked for.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from isocenter.app.scrubbing import read_portion, repair
from isocenter.domain.access.model import Actor
from isocenter.domain.archive.model_integrity import KINDS, Reading
from isocenter.domain.archive.service import integrity
from isocenter.domain.audit import service as audit
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Damaged:
    """An object that is not what was admitted."""

    sop_instance_uid: str
    blob_key: str
    reason: str
    repaired: bool


@dataclass
class VerificationReport:
    """What was found.

    Attributes:
        checked: objects read back: instances, kept conflicts and copies.
        broken_audit_record: key of the first audit record whose chain does not hold, if any.
    """

    checked: int = 0
    damaged: list[Damaged] = field(default_factory=list[Damaged])
    broken_audit_record: int | None = None

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged, or all that was is repaired."""
        return self.broken_audit_record is None and all(each.repaired for each in self.damaged)

    def as_row(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks all objects of the archive.

    Attributes:
        repairs: whether to put sound bytes of another store in the place of damaged ones.
        on_progress: told how many of how many objects are checked.
    """

    db: Database
    blobs: SeveralStores
    actor: Actor
    clock: Clock
    repairs: bool
    on_progress: Callable[[int, int], None]

    def verify(self) -> VerificationReport:
        """Check all objects, and the audit chain.

        Raises:
            IsocenterError: a store is away, which says nothing about its objects.
        """
        report = VerificationReport()
        with self.db.read() as tx:
            total = integrity.count_objects(tx, self.actor)
        for kind in KINDS:
            after = 0
            while True:
                with self.db.read() as tx:
                    page = integrity.objects_after(tx, self.actor, kind, after=after, limit=_PAGE)
                if not page:
                    break
                done = report.checked
                readings = read_portion(
                    self.blobs,
                    page,
                    took=lambda _, done=done: self.on_progress(done, total),
                )
                self._note(readings, report)
                self.on_progress(report.checked, total)
                after = page[-1].object_key
        with self.db.read() as tx:
            report.broken_audit_record = audit.verify_chain(tx)
        return report

    def _note(self, readings: list[Reading], report: VerificationReport) -> None:
        report.checked += len(readings)
        with self.db.transaction() as tx:
            integrity.record_readings(tx, self.actor, readings, now=self.clock())
        for each in readings:
            if each.fault is None:
                continue
            repaired = self.repairs and repair(
                self.db, self.blobs, self.actor, each.stored, clock=self.clock
            )
            reason = f"{each.fault.value}: {each.detail}"
            report.damaged.append(
                Damaged(each.stored.sop_instance_uid, each.stored.blob_key, reason, repaired)
            )
