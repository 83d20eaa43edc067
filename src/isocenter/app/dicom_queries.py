"""What C-FIND searches, by information model."""

from collections.abc import Mapping

from isocenter.app.runtime import Runtime
from isocenter.gateways.dimse.ports import Query


def queries(runtime: Runtime) -> Mapping[str, Query]:
    """The queries that are served, by SOP class UID."""
    del runtime
    return {}
