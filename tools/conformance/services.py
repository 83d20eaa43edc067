"""What is offered on associations, asked of the services that the listener is made of.

Nothing is opened: the services are built over a runtime without database and object store, which
they need for performing operations only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any, Final, cast

from isocenter.app.dicom_operations import normalized_classes
from isocenter.app.dicom_queries import queries, retrieval
from isocenter.app.runtime import Runtime
from isocenter.app.settings import Settings
from isocenter.errors import Kind
from isocenter.gateways.dicomweb.problems import STATUS
from isocenter.gateways.dimse import status_table
from isocenter.gateways.dimse.admission import AdmissionQueue
from isocenter.gateways.dimse.availability import INSTANCE_AVAILABILITY_NOTIFICATION
from isocenter.gateways.dimse.commitment_messages import STORAGE_COMMITMENT_PUSH
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.n_services import NormalizedService
from isocenter.gateways.dimse.ports import Grant, Service
from isocenter.gateways.dimse.query import FindService
from isocenter.gateways.dimse.retrieve import RetrieveService
from isocenter.gateways.dimse.services import EchoService, MessageService
from isocenter.gateways.dimse.storage import StoreService
from isocenter.infra.clock import utc_now
from isocenter.standards.dicom import uids, unified_procedure_step
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.performed_step import MODALITY_PERFORMED_PROCEDURE_STEP
from isocenter.standards.dicom.query_retrieve import (
    Extensions,
    agreed_extensions,
    answer_information,
)
from isocenter.standards.dicom.ul.negotiation import Offer
from tools.document_table import table, yes_no

# SOP classes for which something in the product calls peers; storage classes beside them.
_CALLED: Final = frozenset({
    uids.VERIFICATION,
    STORAGE_COMMITMENT_PUSH,
    INSTANCE_AVAILABILITY_NOTIFICATION,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    uids.STUDY_ROOT_FIND,
    uids.STUDY_ROOT_MOVE,
})
# Of which we are the SCP on associations that we ask for.
_TOLD: Final = frozenset({unified_procedure_step.EVENT})
_KINDS: Final[Mapping[Kind, str]] = {
    Kind.INCORRECT: "the request itself is wrong",
    Kind.NOT_FOUND: "what it names is not there",
    Kind.CONFLICT: "it contradicts what is known",
    Kind.FORBIDDEN: "the peer may not do this",
    Kind.UNSUPPORTED: "not offered here",
    Kind.BUSY: "a limit is reached",
    Kind.UNAVAILABLE: "database or object store is away",
    Kind.FAULT: "a fault of ours",
}
_EXTENSIONS: Final[Mapping[str, str]] = {
    "relational": "relational queries or retrieval",
    "date_time": "combined date-time matching",
    "fuzzy": "fuzzy semantic matching of person names",
    "timezone": "timezone query adjustment",
    "enhanced_conversion": "enhanced multi-frame image conversion",
    "empty_value": "empty value matching",
    "multiple_value": "multiple value matching",
}


@dataclass(frozen=True, slots=True)
class _Offered:
    """A SOP class as the listener offers it to a peer that may do everything.

    Attributes:
        permissions: what is offered to a peer that may do one thing only, by that thing.
    """

    uid: str
    offer: Offer
    permissions: Mapping[str, Offer]

    @property
    def transfer_syntaxes(self) -> str:
        accepted = self.offer.transfer_syntaxes
        return "any" if accepted is None else "<br>".join(sorted(uids.name_of(x) for x in accepted))


def overview() -> str:
    """SOP classes by the roles that the product has."""
    rows = [
        (_named(each.uid), each.uid, yes_no(each.uid in _CALLED), yes_no(each.offer.scp))
        for each in _offered()
        if not _is_storage(each.uid)
    ]
    rows += [(_named(uid), uid, "yes", "no") for uid in sorted(_CALLED - {row[1] for row in rows})]
    rows += [(_named(uid), uid, "no", "yes") for uid in sorted(_TOLD)]
    count = len(uids.storage_classes())
    everything = f"All {count} storage classes of PS3.6 (Annex A below), unknown and private ones"
    return table(["SOP class", "UID", "SCU", "SCP"], [*rows, (everything, "", "yes", "yes")])


def accepted_contexts() -> str:
    """Presentation contexts that the listener accepts."""
    found = list(_offered())
    rows = [_context(each, _named(each.uid)) for each in found if not _is_storage(each.uid)]
    storage = next(each for each in found if each.uid == uids.storage_classes()[0])
    rows.append(_context(storage, "each storage SOP class, and each that PS3.6 does not know"))
    head = ["abstract syntax", "transfer syntaxes", "role of the listener", "permission"]
    return table(head, rows)


def storage_classes() -> str:
    """Every storage SOP class that the listener accepts."""
    rows = ((_named(each.uid), each.uid) for each in _offered() if _is_storage(each.uid))
    return table(["storage SOP class", "UID"], rows)


def extended_negotiation() -> str:
    """What is answered to a peer that asks for everything.

    Standard: PS3.4 C.5.1.1, C.5.2.1, C.5.3.1
    """
    asked = b"\1" * len(fields(Extensions))
    agreed = {
        each.uid: agreed_extensions(each.uid, answer)
        for each in _offered()
        if (answer := answer_information(each.uid, asked)) is not None
    }
    names = [_named(uid) for uid in agreed]
    rows = (
        (meaning, *(yes_no(getattr(each, name)) for each in agreed.values()))
        for name, meaning in _EXTENSIONS.items()
    )
    return table(["asked for", *names], rows)


def statuses() -> str:
    """What each kind of failure is answered with."""
    rows = (
        (
            meaning,
            _code(status_table.STORE[kind]),
            _code(status_table.FIND[kind]),
            _code(status_table.RETRIEVE[kind]),
            _code(status_table.NORMALIZED[kind]),
            STATUS[kind].value,
        )
        for kind, meaning in _KINDS.items()
    )
    return table(["situation", "C-STORE", "C-FIND", "C-MOVE, C-GET", "DIMSE-N", "HTTP"], rows)


def _offered() -> Iterator[_Offered]:
    services = _services()
    everything = Grant("", frozenset(Service))
    for uid in uids.sop_classes():
        offer = _offer_of(services, uid, everything)
        if offer is not None:
            alone = {
                each.value: part
                for each in Service
                if (part := _offer_of(services, uid, Grant("", frozenset({each})))) is not None
            }
            yield _Offered(uid, offer, alone)


def _offer_of(services: tuple[MessageService, ...], uid: str, grant: Grant) -> Offer | None:
    answers = (service.offer(uid, grant) for service in services)
    first = next((answer for answer in answers if answer is not None), None)
    return first if isinstance(first, Offer) else None


def _services() -> tuple[MessageService, ...]:
    """The services in the order in which the listener asks them."""
    unopened: Any = SimpleNamespace(settings=Settings(), pool=None, clock=utc_now)
    runtime = cast("Runtime", unopened)
    nothing: Any = None
    limits = Limits()
    return (
        EchoService(),
        FindService(queries(runtime), limits),
        NormalizedService(normalized_classes(runtime), limits),
        RetrieveService(retrieval(runtime), nothing, nothing, limits),
        StoreService(nothing, cast("AdmissionQueue", nothing), limits),
    )


def _context(offered: _Offered, name: str) -> tuple[str, str, str, str]:
    everybody = len(offered.permissions) == len(Service)
    needed = (
        permission if _roles(part) == _roles(offered.offer) else f"{permission} (as {_roles(part)})"
        for permission, part in offered.permissions.items()
    )
    permissions = "none" if everybody else ", ".join(needed)
    return name, offered.transfer_syntaxes, _roles(offered.offer), permissions


def _roles(offer: Offer) -> str:
    return ", ".join(role for role, has in (("SCP", offer.scp), ("SCU", offer.scu)) if has)


def _is_storage(uid: str) -> bool:
    return uids.sop_classes()[uid].is_storage


def _named(uid: str) -> str:
    return uids.name_of(uid).removesuffix(" SOP Class")


def _code(status: Status) -> str:
    return f"{status:04X}"
