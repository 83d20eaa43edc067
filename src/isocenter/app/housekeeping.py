"""What keeps the house in order by the clock: audit sealed, left-overs swept, old events pruned."""

from datetime import timedelta

from isocenter.app.jobs import Job
from isocenter.app.runtime import Runtime
from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.audit import service as audit
from isocenter.domain.distribution import service as distribution
from isocenter.domain.identity import service as identity
from isocenter.domain.worklist import service as worklist
from isocenter.infra import outbox

_ACTOR = Actor.system("worker")
_SEAL_S, _SWEEP_S, _PRUNE_S, _NAMES_S = 0.25, 3_600.0, 3_600.0, 86_400.0
# Few at a time and often: sealing a thousand keeps a processor busy for a tenth of a second, for
# which answers would wait.
_SEALED_AT_ONCE = 200
_EVENTS_KEPT = timedelta(days=90)


def house_jobs(runtime: Runtime) -> list[Job]:
    """Sealing, sweeping, pruning, and how frequent names are."""
    settings = runtime.settings

    def sweep() -> int:
        now = runtime.clock()
        older_than = now - timedelta(seconds=settings.blob_unreferenced_age_s)
        runtime.pool.run_here(lambda tx: archive.forget_spared(tx, _ACTOR, older_than=older_than))
        left_over = runtime.blobs.discard_unfinished(older_than)
        return left_over + runtime.pool.run_here(
            lambda tx: archive.sweep(tx, _ACTOR, runtime.blobs, older_than=older_than, now=now)
        )

    def seal() -> int:
        sealed = 0
        while count := runtime.pool.run_here(lambda tx: audit.seal(tx, limit=_SEALED_AT_ONCE)):
            sealed += count
            if count < _SEALED_AT_ONCE:
                break
        return sealed

    def prune() -> int:
        before = runtime.clock() - _EVENTS_KEPT
        runtime.pool.run_here(lambda tx: distribution.prune_commitments(tx, now=runtime.clock()))
        runtime.pool.run_here(lambda tx: worklist.prune_station_queries(tx, before=before))
        return runtime.pool.run_here(lambda tx: outbox.prune(tx, before=before))

    def count_names() -> int:
        return runtime.pool.run_here(lambda tx: identity.refresh_name_frequencies(tx, _ACTOR))

    return [
        Job("seal_audit", _SEAL_S, seal),
        Job("count_names", _NAMES_S, count_names),
        Job("sweep_blobs", _SWEEP_S, sweep),
        Job("prune_events", _PRUNE_S, prune),
    ]
