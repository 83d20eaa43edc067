"""C-FIND for Unified Procedure Steps: workitems as identifiers of answers.

An answer has the keys that were asked for, empty where the workitem has no value. It is of the Push
SOP class, whatever was negotiated.

Standard: PS3.4 CC.2.8
"""

from collections.abc import Iterator
from datetime import tzinfo
from typing import ClassVar, Final

from isocenter.domain.access.model import Actor
from isocenter.domain.worklist import service as worklist
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse.ports import QueryRequest
from isocenter.gateways.dimse.worklist import asked_of
from isocenter.infra.clock import Clock
from isocenter.infra.pools import Pool
from isocenter.standards.dicom import character_sets
from isocenter.standards.dicom.dictionary import vr_of
from isocenter.standards.dicom.json_model import from_json
from isocenter.standards.dicom.matching_keys import NOT_KEYS, parse_identifier
from isocenter.standards.dicom.unified_procedure_step import TRANSACTION_UID
from isocenter.standards.dicom.values import DataSet, Element
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET

MATCHES_MAX: Final = 5_000


class TooManyWorkitems(IsocenterError):
    """There are more matches than one query may have; the first of them were given."""

    kind: ClassVar[Kind] = Kind.BUSY


class ProcedureStepQuery:
    """Answers queries of the Pull, Watch and Query SOP classes, and keeps that they were asked."""

    def __init__(
        self, pool: Pool, *, clock: Clock, zone: tzinfo, matches_max: int = MATCHES_MAX
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._zone = zone
        self._matches_max = matches_max

    def __call__(self, request: QueryRequest, /) -> Iterator[DataSet]:
        """The matches, the earliest first.

        Raises:
            TooManyWorkitems: after the first ``matches_max``.
        """
        query = parse_identifier(request.identifier)
        zone = worklist.zone_of(request.identifier, self._zone)
        actor = Actor.dicom_peer(
            request.grant.peer_name,
            request.caller.address,
            [each.value for each in request.grant.services],
        )
        found = self._pool.run_here(
            lambda tx: worklist.search_workitems(
                tx, actor, query, limit=self._matches_max + 1, zone=zone, now=self._clock()
            )
        )
        for each in found.workitems[: self._matches_max]:
            yield answer(from_json(each.attributes), request.identifier)
        if len(found.workitems) > self._matches_max:
            raise TooManyWorkitems(f"more than {self._matches_max} matches: ask for less")

    def lacks_keys(self, request: QueryRequest, /) -> bool:
        """Whether keys have values that are not matched.

        Standard: PS3.4 Table CC.2.8-2 (status FF01)
        """
        return bool(worklist.unmatched_keys(request.identifier))


def answer(step: DataSet, identifier: DataSet) -> DataSet:
    """The identifier of the answer that stands for a workitem.

    It is in the character set of the question if that holds all of it.

    Standard: PS3.4 CC.2.8.1.3.2
    """
    response = asked_of(step, identifier)
    for tag in identifier:
        if tag not in response and tag not in NOT_KEYS and tag != TRANSACTION_UID:
            response[tag] = Element(vr_of(tag))
    terms = character_sets.choose(response.all_texts(), identifier.specific_character_set)
    if terms:
        response.put(SPECIFIC_CHARACTER_SET, *terms)
    return response.sorted()
