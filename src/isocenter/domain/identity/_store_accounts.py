"""The SQL of accounts that were merged together with their patients, and are given back."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.identity.model_visits import VisitNumber
from isocenter.infra.db import Tx, jsonb


@dataclass(frozen=True, slots=True)
class MergedVisit:
    """An account that is known by another one's number since its patient was merged.

    Attributes:
        visit: the row under the former number; None: there was none.
        is_new: nothing was known under the number that remains.
        asserted_at: when the last thing was said of that number, the merge included.
    """

    merge_key: int
    former_authority: str
    former_number: str
    visit_authority: str
    visit_number: str
    visit: dict[str, Any] | None
    is_new: bool
    asserted_at: datetime


def visit_row(tx: Tx, number: VisitNumber) -> dict[str, Any] | None:
    """All that is known of a visit, as it is kept."""
    return tx.value(
        """
        select to_jsonb(visit) from identity.visit
         where visit_number = %s and assigning_authority = %s
        """,
        (number.value, number.assigning_authority),
    )


def keep_merged_visit(tx: Tx, merged: MergedVisit) -> None:
    """Remember what is to be given back."""
    tx.run(
        """
        insert into identity.merged_visit (merge_key, former_authority, former_number,
               visit_authority, visit_number, visit, is_new, asserted_at)
        values (%(merge_key)s, %(former_authority)s, %(former_number)s, %(visit_authority)s,
                %(visit_number)s, %(visit)s, %(is_new)s, %(asserted_at)s)
        """,
        {**asdict(merged), "visit": jsonb(merged.visit) if merged.visit else None},
    )


def take_merged_visits(tx: Tx, merge_key: int, now: datetime) -> list[MergedVisit]:
    """What a merge took and was not given back, which it is from now on."""
    return tx.all(
        MergedVisit,
        """
        update identity.merged_visit set given_back_at = %s
         where merge_key = %s and given_back_at is null
        returning merge_key, former_authority, former_number, visit_authority, visit_number,
                  visit, is_new, asserted_at
        """,
        (now, merge_key),
    )


def restore_visit(tx: Tx, visit: dict[str, Any], now: datetime) -> None:
    """Let a visit be as it was; one that has come under its number since stays."""
    tx.run(
        """
        insert into identity.visit
               (assigning_authority, visit_number, patient_key, state, patient_class, location,
                prior_location, pending_location, attending_doctor_name, admitted_at,
                discharged_at, source_peer, said_at, asserted_at, updated_at)
        select assigning_authority, visit_number, patient_key, state, patient_class, location,
               prior_location, pending_location, attending_doctor_name, admitted_at,
               discharged_at, source_peer, said_at, asserted_at, %(now)s
          from jsonb_populate_record(null::identity.visit, %(visit)s)
            on conflict (visit_number, assigning_authority) do nothing
        """,
        {"visit": jsonb(visit), "now": now},
    )


def forget_unless_said_since(tx: Tx, number: VisitNumber, asserted_at: datetime) -> None:
    """Remove a visit of which nothing was said after that moment."""
    tx.run(
        """
        delete from identity.visit
         where visit_number = %s and assigning_authority = %s and asserted_at <= %s
        """,
        (number.value, number.assigning_authority, asserted_at),
    )
