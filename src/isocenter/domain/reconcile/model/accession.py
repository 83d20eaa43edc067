"""Whether two accession numbers are the same number, by what sites do to numbers on their way.

A number is padded, printed with a prefix, typed in full-width digits or in lower case, and is the
same number all the time. It is never a pattern: ``*`` and ``?`` come from people who search.
"""

import re
import unicodedata
from collections.abc import Collection
from enum import StrEnum
from typing import Final

_SEPARATORS: Final = re.compile(r"[-_./:#\s]")
_LEADING_ZEROS: Final = re.compile(r"(?<![0-9])0+(?=[0-9])")
_WILDCARDS: Final = re.compile(r"[*?\\]")


class NumberAgreement(StrEnum):
    """Whether images and order carry the same accession number."""

    SAME = "same"
    SAME_IN_ANOTHER_FORM = "same_in_another_form"  # leading zeros, a prefix, separators
    OTHER_ISSUER = "other_issuer"  # the same digits, issued by somebody else
    DIFFERENT = "different"
    UNKNOWN = "unknown"  # one of the two says none


def normalised_accession_number(value: str | None) -> str:
    """The form in which accession numbers are compared: no surrounding blanks, upper case.

    Modalities pad, and technologists type what the wristband says in the case they like.
    """
    return unicodedata.normalize("NFKC", value or "").strip(" \0").upper()


def accession_key(value: str | None) -> str:
    """The form under which numbers are looked up; the database has the same in an index."""
    return _LEADING_ZEROS.sub("", _SEPARATORS.sub("", normalised_accession_number(value)))


def accession_keys(value: str | None, prefixes: Collection[str]) -> frozenset[str]:
    """Every key under which an order with this number may be found: with and without prefixes."""
    number = normalised_accession_number(value)
    if not number or _WILDCARDS.search(number):
        return frozenset()
    known = [normalised_accession_number(each) for each in prefixes]
    bare = {number, *(number.removeprefix(each) for each in known)}
    forms = bare | {prefix + each for prefix in known for each in bare}
    return frozenset(key for key in map(accession_key, forms) if key)


def compare_accession_numbers(
    said: str | None,
    ordered: str,
    *,
    issuers: tuple[str | None, str | None] = (None, None),
    prefixes: Collection[str] = (),
) -> NumberAgreement:
    """Whether images (``said``) and order carry the same number.

    Args:
        said: what the images say.
        ordered: the order's.
        issuers: of the number in the images and of the order's, where they are known.
        prefixes: what this site puts before numbers or leaves away.

    Standard: PS3.3 C.4.11, HL7 v2.5.1 4.5 (OBR-18), PS3.3 10.5.1 (issuer of the accession number)
    """
    number = normalised_accession_number(said)
    if not accession_key(number) or not accession_key(ordered):
        return NumberAgreement.UNKNOWN
    if _WILDCARDS.search(number) or _WILDCARDS.search(ordered):
        return NumberAgreement.DIFFERENT
    if number == normalised_accession_number(ordered):
        agreement = NumberAgreement.SAME
    elif _plain_forms(number, prefixes) & _plain_forms(ordered, prefixes):
        agreement = NumberAgreement.SAME_IN_ANOTHER_FORM
    else:
        return NumberAgreement.DIFFERENT
    one, other = (normalised_accession_number(each) for each in issuers)
    if one and other and one != other:
        return NumberAgreement.OTHER_ISSUER
    return agreement


def _plain_forms(value: str, prefixes: Collection[str]) -> set[str]:
    number = normalised_accession_number(value)
    forms = {number}
    for prefix in map(normalised_accession_number, prefixes):
        if prefix and number.startswith(prefix):
            forms.add(number.removeprefix(prefix))
    return {key for key in map(accession_key, forms) if key}
