"""Which pages an actor is shown, and which controls on them.

This only spares people doors that are locked for them: the services decide for themselves.
"""

from dataclasses import dataclass

from isocenter.domain.access.model import Action, Actor


@dataclass(frozen=True, slots=True)
class Item:
    """One page of the main navigation.

    Attributes:
        key: follows ``g`` on the keyboard.
        seldom: in the menu at its end: to set up and look after the installation.
    """

    path: str
    label: str
    key: str
    action: Action
    seldom: bool = False


ITEMS = (
    Item("/", "Exams", "e", Action.EXAM_READ),
    Item("/patients", "Patients", "n", Action.PATIENT_READ),
    Item("/reconciliation", "Reconciliation", "r", Action.STUDY_READ),
    Item("/stations", "Stations", "w", Action.WORKLIST_READ),
    Item("/deliveries", "Deliveries", "d", Action.DELIVERY_READ),
    Item("/messages", "HL7 messages", "m", Action.MESSAGE_READ),
    Item("/interfaces", "Interfaces", "i", Action.PEER_READ),
    Item("/peers", "Peers", "p", Action.PEER_READ, seldom=True),
    Item("/routes", "Routes", "o", Action.PEER_READ, seldom=True),
    Item("/rejections", "Rejected images", "x", Action.STUDY_REJECT, seldom=True),
    Item("/users", "Users", "u", Action.USER_WRITE, seldom=True),
    Item("/audit", "Audit", "a", Action.AUDIT_READ, seldom=True),
    Item("/storage", "Storage", "t", Action.SYSTEM_READ, seldom=True),
    Item("/system", "System", "s", Action.SYSTEM_READ, seldom=True),
)


def items_for(actor: Actor | None) -> list[Item]:
    """The pages that ``actor`` may open."""
    return [item for item in ITEMS if actor is not None and item.action in actor.actions]


class Permissions:
    """For templates: ``may.report_write`` is true when the actor may do ``Action.REPORT_WRITE``."""

    def __init__(self, actor: Actor | None) -> None:
        self._actions = actor.actions if actor else frozenset[Action]()

    def __getattr__(self, name: str) -> bool:
        try:
            return Action[name.upper()] in self._actions
        except KeyError:
            raise AttributeError(name) from None
