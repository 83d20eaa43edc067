"""Patients by what is known of them: for queries that page through all that fit."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx

PAGE_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientQuery:
    """What patients must fit; None asks nothing.

    Attributes:
        family: beginning of the family name in normal form, or all of it.
        given: beginning of the given name in normal form, or all of it.
        whole_family: the family name is complete.
        address: words that the address holds, in their order, in any case.
        identifier: value, whoever assigned it, unless ``authority`` says who did.
        after: the key of the last patient of the page before.
    """

    family: str | None = None
    given: str | None = None
    whole_family: bool = True
    whole_given: bool = True
    birth_date: date | None = None
    sex: str | None = None
    phone: str | None = None
    address: str | None = None
    mother_family: str | None = None
    identifier: str | None = None
    authority: str | None = None
    after: int = 0
    limit: int = 50

    @property
    def asks(self) -> bool:
        """Whether anything narrows it down that an index knows: nobody is given the whole list."""
        return any((self.family, self.birth_date, self.phone, self.identifier))


@dataclass(frozen=True, slots=True)
class FoundIdentifier:
    """One identifier of one of a person's records."""

    person_key: int
    assigning_authority: str
    value: str
    type_code: str
    retired: bool


# The pattern of the name is for the index; a complete family name is compared whole as well.
_SEARCH: Final = """
select p.patient_key
  from identity.patient p
 where p.survivor_key is null and p.patient_key > %(after)s
   and (%(name)s::text is null or p.name_normalised like %(name)s)
   and (%(family)s::text is null or split_part(p.name_normalised, '^', 1) = %(family)s)
   and (%(given)s::text is null or split_part(p.name_normalised, '^', 2) like %(given)s)
   and (%(birth_date)s::date is null or p.birth_date = %(birth_date)s)
   and (%(sex)s::text is null or p.sex = %(sex)s)
   and (%(phone)s::text is null
        or reverse(regexp_replace(p.phone, '[^0-9]', '', 'g')) like %(phone)s)
   and (%(address)s::text is null or p.address ilike %(address)s)
   and (%(mother)s::text is null or lower(p.mother_name) like lower(%(mother)s))
   and (%(identifier)s::text is null or p.patient_key in (
        select coalesce(record.survivor_key, record.patient_key)
          from identity.patient_identifier i join identity.patient record using (patient_key)
         where i.value = %(identifier)s
           and (%(authority)s::text is null or i.assigning_authority = %(authority)s)))
 order by p.patient_key
 limit %(limit)s
"""


def patients(tx: Tx, viewer: Viewer, query: PatientQuery) -> list[int]:
    """Surviving patients that fit, in order of their keys; one more than ``limit`` if there are."""
    viewer.require(Action.PATIENT_READ)
    if not query.asks:
        return []
    return tx.values(_SEARCH, _params(query))


def _params(query: PatientQuery) -> dict[str, Any]:
    return {
        "after": query.after,
        "name": f"{_pattern(query.family)}%" if query.family else None,
        "family": query.family if query.whole_family else None,
        "given": _pattern(query.given) + ("" if query.whole_given else "%")
        if query.given
        else None,
        "birth_date": query.birth_date,
        "sex": query.sex,
        "phone": f"{query.phone[::-1]}%" if query.phone else None,
        "address": f"%{_pattern(query.address)}%" if query.address else None,
        "mother": f"{_pattern(query.mother_family)}%" if query.mother_family else None,
        "identifier": query.identifier,
        "authority": query.authority,
        "limit": min(query.limit, PAGE_MAX) + 1,
    }


def _pattern(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def knows_authority(tx: Tx, viewer: Viewer, authority: str) -> bool:
    """Whether any patient has an identifier of this authority."""
    viewer.require(Action.PATIENT_READ)
    return bool(
        tx.value(
            """
            select exists (
                select from identity.patient_identifier where assigning_authority = %s)
            """,
            (authority,),
        )
    )


def identifiers_of(tx: Tx, viewer: Viewer, person_keys: list[int]) -> list[FoundIdentifier]:
    """Every identifier of these surviving patients and of what was merged into them."""
    viewer.require(Action.PATIENT_READ)
    return tx.all(
        FoundIdentifier,
        """
        select coalesce(record.survivor_key, record.patient_key) as person_key,
               i.assigning_authority, i.value, i.type_code, i.retired_at is not null as retired
          from identity.patient record
          join identity.patient_identifier i using (patient_key)
         where record.patient_key = any(%(keys)s) or record.survivor_key = any(%(keys)s)
         order by 1, record.survivor_key is not null, i.retired_at is not null,
                  i.type_code <> 'MR', i.assigning_authority, i.value
        """,
        {"keys": person_keys},
    )
