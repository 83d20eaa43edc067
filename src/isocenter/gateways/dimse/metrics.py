"""What the DIMSE gateway counts. Labels are codes of the standard, never a peer or a UID."""

from functools import cache
from typing import Final

from prometheus_client import Counter

from isocenter.infra import metrics

ASSOCIATIONS: Final = metrics.gauge("dimse_associations", "DICOM associations that stand now")
ASSOCIATIONS_REFUSED: Final = metrics.counter(
    "dimse_associations_refused", "Association requests refused", ["reason"]
)
ASSOCIATIONS_ABORTED: Final = metrics.counter(
    "dimse_associations_aborted", "Associations that ended without release", ["origin"]
)
CONNECTIONS_REFUSED: Final = metrics.counter(
    "dimse_connections_refused", "TCP connections closed because there were too many"
)
_INSTANCES: Final = metrics.counter(
    "dimse_instances", "Objects received, by the status that was answered", ["status"]
)


@cache
def instances(status: int) -> Counter:
    """The count of the objects that were answered with ``status``."""
    return _INSTANCES.labels(f"{status:04X}")


INSTANCE_BYTES: Final = metrics.counter(
    "dimse_instance_bytes", "Bytes of data sets received with success"
)
ADMISSION_SECONDS: Final = metrics.histogram(
    "dimse_admission_seconds", "Time that a batch of objects took to be durable and visible"
)
BATCH_INSTANCES: Final = metrics.histogram(
    "dimse_batch_instances", "Objects that shared one commit", buckets=(1, 2, 4, 8, 16, 32, 64)
)
NOT_VISIBLE: Final = metrics.gauge(
    "dimse_instances_not_visible", "Objects that were answered with success and cannot be found yet"
)
QUERIES: Final = metrics.counter(
    "dimse_queries", "C-FIND requests, by the status that ended them", ["status"]
)
OPERATIONS: Final = metrics.counter(
    "dimse_operations", "N- requests, by the status that was answered", ["status"]
)
RETRIEVALS: Final = metrics.counter(
    "dimse_retrievals", "C-MOVE and C-GET requests, by the status that ended them", ["status"]
)
INSTANCES_SENT: Final = metrics.counter(
    "dimse_instances_sent", "Objects sent to destinations, by what became of them", ["result"]
)
COMMITMENTS: Final = metrics.counter(
    "dimse_commitments", "Instances that peers asked us to commit to, by our answer", ["result"]
)
