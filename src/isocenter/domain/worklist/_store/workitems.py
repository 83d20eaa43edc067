"""The SQL of workitems. One function is one statement.

What can be matched is in ``COLUMNS``: the attributes of PS3.4 Table CC.2.5-3 that are matching keys
there, as far as their values are text, codes or moments.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from isocenter.domain.worklist.model_workitems import FoundWorkitem, MatchedValues, Workitem
from isocenter.infra.db import Tx, jsonb
from isocenter.infra.db.where import Column, Columns, Items, where
from isocenter.standards.dicom.matching import Condition


def _value(key: LiteralString, of: LiteralString = "workitem.attributes") -> Column:
    return Column(of + " -> '" + key + "' -> 'Value' ->> 0")


def _items(
    key: LiteralString,
    columns: Columns,
    of: LiteralString = "workitem.attributes",
    name: LiteralString = "item",
) -> Items:
    source: LiteralString = (
        "jsonb_array_elements(" + of + " -> '" + key + "' -> 'Value') as " + name
    )
    return Items(columns, source)


def _codes(key: LiteralString, of: LiteralString = "workitem.attributes") -> Items:
    columns = {
        0x00080100: _value("00080100", "code"),
        0x00080102: _value("00080102", "code"),
        0x00080119: _value("00080119", "code"),
        0x00080120: _value("00080120", "code"),
    }
    return _items(key, columns, of, "code")


def _issuer(key: LiteralString, of: LiteralString = "workitem.attributes") -> Items:
    columns = {
        0x00400031: _value("00400031", "issuer"),
        0x00400032: _value("00400032", "issuer"),
        0x00400033: _value("00400033", "issuer"),
    }
    return _items(key, columns, of, "issuer")


_INSTANCES: Final[Columns] = {
    0x0020000D: _value("0020000D", "item"),
    0x0020000E: _value("0020000E", "item"),
    0x00081199: _items(
        "00081199",
        {
            0x00081150: _value("00081150", "instance"),
            0x00081155: _value("00081155", "instance"),
        },
        "item",
        "instance",
    ),
}
COLUMNS: Final[Columns] = {
    0x00080016: _value("00080016"),
    0x00080018: Column("workitem.sop_instance_uid"),
    0x00081080: _value("00081080"),
    0x00081084: _codes("00081084"),
    0x00100010: Column(
        "workitem.patient_name_normalised", "person_name", "workitem.patient_name_phonetic"
    ),
    0x00100020: _value("00100020"),
    0x00100021: _value("00100021"),
    0x00100030: Column("workitem.patient_birth_date", "date"),
    0x00100040: _value("00100040"),
    0x00101002: _items(
        "00101002",
        {0x00100020: _value("00100020", "item"), 0x00100021: _value("00100021", "item")},
    ),
    0x00102000: _value("00102000"),
    0x0020000D: _value("0020000D"),
    0x00380010: _value("00380010"),
    0x00380014: _issuer("00380014"),
    0x00380050: _value("00380050"),
    0x00400400: _value("00400400"),
    0x00404005: Column("workitem.start_at", "datetime"),
    0x00404008: Column("workitem.expires_at", "datetime"),
    0x00404010: Column("workitem.updated_at", "datetime"),
    0x00404011: Column("workitem.completion_expected_at", "datetime"),
    0x00404018: _codes("00404018"),
    0x00404021: _items("00404021", _INSTANCES),
    0x00404025: _codes("00404025"),
    0x00404026: _codes("00404026"),
    0x00404027: _codes("00404027"),
    0x00404034: _items(
        "00404034",
        {
            0x00404009: _codes("00404009", "item"),
            0x00404036: _value("00404036", "item"),
        },
    ),
    0x00404041: _value("00404041"),
    0x0040A370: _items(
        "0040A370",
        {
            0x00080050: _value("00080050", "item"),
            0x00080051: _issuer("00080051", "item"),
            0x0020000D: _value("0020000D", "item"),
            0x00321033: _value("00321033", "item"),
            0x00321060: _value("00321060", "item"),
            0x00321064: _codes("00321064", "item"),
            0x00402016: _value("00402016", "item"),
            0x00402017: _value("00402017", "item"),
            0x00401001: _value("00401001", "item"),
        },
    ),
    0x00741000: Column("workitem.state"),
    0x00741200: _value("00741200"),
    0x00741202: _value("00741202"),
    0x00741204: _value("00741204"),
    0x00741216: _items(
        "00741216",
        {
            0x00404028: _codes("00404028", "item"),
            0x00404035: _items(
                "00404035", {0x00404009: _codes("00404009", "performer")}, "item", "performer"
            ),
        },
    ),
    0x00741224: _items(
        "00741224",
        {0x00081150: _value("00081150", "item"), 0x00081155: _value("00081155", "item")},
    ),
}
"""The attributes that can be matched."""

# New workitems and subscriptions to all of them must see each other: whoever makes a workitem
# holds this lock with others, whoever subscribes holds it alone.
_LOCK: Final = 0x5550_5301


def lock_against_subscribers(tx: Tx) -> None:
    """Wait for whoever subscribes to all workitems, and have the next wait for us."""
    tx.value("select pg_advisory_xact_lock_shared(%s)", (_LOCK,))


def lock_against_creators(tx: Tx) -> None:
    """Wait for whoever makes workitems, and have the next wait for us."""
    tx.value("select pg_advisory_xact_lock(%s)", (_LOCK,))


@dataclass(frozen=True, slots=True)
class NewWorkitem:
    """A workitem to be kept.

    Attributes:
        step_key: of the scheduled step that it stands for.
    """

    attributes: dict[str, Any]
    matched: MatchedValues
    step_key: int | None = None

    @property
    def sop_instance_uid(self) -> str:
        """Its own."""
        return self.attributes["00080018"]["Value"][0]


@dataclass(frozen=True, slots=True)
class _Key:
    sop_instance_uid: str
    workitem_key: int


def insert_all(
    tx: Tx, new: Sequence[NewWorkitem], *, created_by: str, now: datetime
) -> dict[str, int]:
    """The keys of new workitems by UID; those are left out of which there is one, or was.

    Left out are also those that stand for a scheduled step for which another stands that is open.
    """
    rows = [
        {
            **asdict(each.matched),
            "position": position,
            "sop_instance_uid": each.sop_instance_uid,
            "attributes": each.attributes,
            "step_key": each.step_key,
        }
        for position, each in enumerate(new)
    ]
    found = tx.all(
        _Key,
        """
        insert into worklist.workitem
               (sop_instance_uid, state, attributes, patient_name_normalised, patient_name_phonetic,
                patient_birth_date, start_at, completion_expected_at, expires_at, created_by,
                created_at, updated_at, step_key)
        select sop_instance_uid, 'SCHEDULED', attributes, patient_name_normalised,
               patient_name_phonetic, patient_birth_date, start_at, completion_expected_at,
               expires_at, %(created_by)s, %(now)s, %(now)s, step_key
          from jsonb_to_recordset(%(rows)s) as said (
               position int, sop_instance_uid text, attributes jsonb, patient_name_normalised text,
               patient_name_phonetic text, patient_birth_date date, start_at timestamptz,
               completion_expected_at timestamptz, expires_at timestamptz, step_key bigint)
         order by position
            on conflict do nothing
        returning sop_instance_uid, workitem_key
        """,
        {"rows": jsonb(rows), "created_by": created_by, "now": now},
    )
    return {each.sop_instance_uid: each.workitem_key for each in found}


_WORKITEMS: Final = """
select workitem_key, sop_instance_uid, state, transaction_uid, attributes, created_by, updated_at,
       removed_at, step_key, claimed_by, set_aside_at
  from worklist.workitem
"""
_WORKITEM: Final = _WORKITEMS + " where sop_instance_uid = %s "
_LOCKED_WORKITEM: Final = _WORKITEM + "for no key update"
_LOCKED_OF_STEPS: Final = (
    _WORKITEMS + " where step_key = any(%s) order by workitem_key for no key update"
)


def read(tx: Tx, sop_instance_uid: str) -> Workitem | None:
    """The workitem, also one that is gone."""
    return tx.maybe(Workitem, _WORKITEM, (sop_instance_uid,))


def lock(tx: Tx, sop_instance_uid: str) -> Workitem | None:
    """The workitem, locked; also one that is gone."""
    return tx.maybe(Workitem, _LOCKED_WORKITEM, (sop_instance_uid,))


def lock_of_steps(tx: Tx, step_keys: Sequence[int]) -> list[Workitem]:
    """All workitems that stand for scheduled steps, or stood, oldest first, locked."""
    return tx.all(Workitem, _LOCKED_OF_STEPS, (list(step_keys),))


def update(
    tx: Tx, workitem_key: int, attributes: dict[str, Any], matched: MatchedValues, *, now: datetime
) -> None:
    """Write what the attributes of a workitem are now."""
    tx.run(
        """
        update worklist.workitem
           set attributes = %(attributes)s, updated_at = %(now)s,
               patient_name_normalised = %(patient_name_normalised)s,
               patient_name_phonetic = %(patient_name_phonetic)s,
               patient_birth_date = %(patient_birth_date)s, start_at = %(start_at)s,
               completion_expected_at = %(completion_expected_at)s, expires_at = %(expires_at)s
         where workitem_key = %(workitem_key)s
        """,
        {
            **asdict(matched),
            "workitem_key": workitem_key,
            "attributes": jsonb(attributes),
            "now": now,
        },
    )


def enter(tx: Tx, workitem: Workitem, *, now: datetime) -> None:
    """Write the state of a workitem, its Transaction UID, and what its attributes say of that."""
    tx.run(
        """
        update worklist.workitem
           set state = %(state)s, transaction_uid = %(transaction_uid)s,
               claimed_by = %(claimed_by)s,
               attributes = %(attributes)s, updated_at = %(now)s
         where workitem_key = %(workitem_key)s
        """,
        {
            "workitem_key": workitem.workitem_key,
            "state": workitem.state,
            "transaction_uid": workitem.transaction_uid,
            "claimed_by": workitem.claimed_by,
            "attributes": jsonb(workitem.attributes),
            "now": now,
        },
    )


_FOUND: Final = """
select workitem.workitem_key, workitem.sop_instance_uid, workitem.attributes
  from worklist.workitem where workitem.removed_at is null and """
_ORDERED: Final = """
 order by workitem.start_at, workitem.workitem_key limit %s offset %s
"""


def search(
    tx: Tx, conditions: Sequence[Condition], *, limit: int | None, offset: int = 0
) -> list[FoundWorkitem]:
    """The workitems that fulfil the conditions, the earliest first."""
    clause, values = where(conditions, COLUMNS)
    return tx.all(FoundWorkitem, _FOUND + clause + _ORDERED, [*values, limit, offset])


def fitting(tx: Tx, workitem_keys: Sequence[int], conditions: Sequence[Condition]) -> list[int]:
    """Those of the workitems that fulfil the conditions, by key."""
    clause, values = where(conditions, COLUMNS)
    found = tx.all(
        FoundWorkitem,
        _FOUND + clause + " and workitem.workitem_key = any(%s) order by workitem.workitem_key",
        [*values, list(workitem_keys)],
    )
    return [each.workitem_key for each in found]


def remove_ended(tx: Tx, ended_before: datetime, now: datetime, limit: int) -> list[str]:
    """Erase workitems that have ended and that nobody locks; gives their UIDs."""
    return tx.values(
        """
        with ended as (
            select workitem_key from worklist.workitem
             where removed_at is null and state in ('COMPLETED', 'CANCELED')
               and updated_at < %(ended_before)s
               and not exists (
                   select from worklist.workitem_subscription
                    where workitem_subscription.workitem_key = workitem.workitem_key
                      and deletion_lock)
             order by updated_at limit %(limit)s for update skip locked
        ), unsubscribed as (
            delete from worklist.workitem_subscription using ended
             where workitem_subscription.workitem_key = ended.workitem_key
        )
        update worklist.workitem
           set removed_at = %(now)s, attributes = '{}', transaction_uid = null,
               patient_name_normalised = '', patient_name_phonetic = '', patient_birth_date = null,
               start_at = null, completion_expected_at = null, expires_at = null
          from ended where workitem.workitem_key = ended.workitem_key
        returning sop_instance_uid
        """,
        {"ended_before": ended_before, "now": now, "limit": limit},
    )
