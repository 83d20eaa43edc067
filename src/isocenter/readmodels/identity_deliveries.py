"""Who was told that records of patients were joined, parted or renumbered: the proof."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx

DELIVERIES_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDelivery:
    """One message about records of patients, on the way to one recipient.

    Attributes:
        patient_key: the record that it is about: of a merge (A40) or its undoing (A37) the one that
            was, or is no longer, merged; ``other_key`` the one that stands, or stood, for it.
        occasion: the trigger event.
        state: ``queued``, ``sent``, ``acknowledged`` or ``refused``.
    """

    delivery_key: int
    patient_key: int
    other_key: int | None
    occasion: str
    recipient: str
    state: str
    queued_at: datetime
    sent_at: datetime | None
    acknowledged_at: datetime | None
    refused_at: datetime | None
    last_error: str | None

    @property
    def at(self) -> datetime:
        """When it came to be where it is."""
        return self.acknowledged_at or self.refused_at or self.sent_at or self.queued_at


_ABOUT: Final = """
select delivery_key, substr(subject, 9)::bigint as patient_key,
       (told ->> 'other_key')::bigint as other_key, occasion, recipient, state, queued_at, sent_at,
       acknowledged_at, refused_at, last_error
  from distribution.delivery
 where kind <> 'report' and kind = 'patient' and subject = any(%s)
   and occasion not in ('A28', 'A31')
 order by delivery_key limit %s
"""


def about(tx: Tx, viewer: Viewer, patient_keys: list[int]) -> list[IdentityDelivery]:
    """What recipients were told of these records, the oldest first; who they are left out."""
    viewer.require(Action.PATIENT_READ)
    subjects = [f"patient/{key}" for key in patient_keys]
    return tx.all(IdentityDelivery, _ABOUT, (subjects, DELIVERIES_MAX))
