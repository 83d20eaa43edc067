"""Queries of peers that do not keep to the standard: what they mean, and what they can read.

Which peer has which quirk is said in ``domain.peers``; here identifiers and answers are changed.

Standard: PS3.4 C.4.1.1.3
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from isocenter.domain.peers.model_quirks import NAMES_BEGIN, answer_form_of, reading_of
from isocenter.standards.dicom.character_sets import TEXT_VRS, UTF_8
from isocenter.standards.dicom.transliteration import nearest
from isocenter.standards.dicom.values import DataSet, decode_dataset
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET

_Value = str | int | float | bytes | DataSet
_WILDCARDS = frozenset("*?")
_EMPTY_VALUE = '""'


def read_identifier(data: bytes, transfer_syntax_uid: str, quirks: frozenset[str]) -> DataSet:
    """What a peer with these quirks asks.

    A character set that is assumed is the one of the question, so that the answers come in it.

    Raises:
        RemoteProtocolError: the bytes break the encoding rules.
    """
    if not quirks:
        return decode_dataset(data, transfer_syntax_uid)
    reading = reading_of(quirks)
    identifier = decode_dataset(data, transfer_syntax_uid, reading=reading)
    if reading.assumed and not identifier.specific_character_set:
        identifier.put(SPECIFIC_CHARACTER_SET, *reading.assumed)
    return _names_begin(identifier) if NAMES_BEGIN in quirks else identifier


def fit_answer(answer: DataSet, quirks: frozenset[str]) -> DataSet:
    """The answer as a peer with these quirks can read it."""
    form = answer_form_of(quirks)
    if form.alphabetic_names:
        answer = _alphabetic(answer)
    if form.character_set is None:
        return answer
    fitted = answer if form.character_set == (UTF_8,) else _in_set(answer, form.character_set)
    if form.character_set:
        fitted.put(SPECIFIC_CHARACTER_SET, *form.character_set)
    else:
        fitted.pop(SPECIFIC_CHARACTER_SET, None)
    return fitted.sorted()


def _names_begin(identifier: DataSet) -> DataSet:
    """The identifier with a wildcard behind each name that has none."""

    def open_ended(name: str) -> str:
        if not name.strip() or _WILDCARDS & set(name) or name.strip() == _EMPTY_VALUE:
            return name
        return "=".join(each.rstrip("^ ") + "*" if each else "" for each in name.split("="))

    return _with_texts(identifier, {"PN"}, open_ended)


def _alphabetic(answer: DataSet) -> DataSet:
    return _with_texts(answer, {"PN"}, lambda name: name.partition("=")[0])


def _in_set(answer: DataSet, terms: tuple[str, ...]) -> DataSet:
    return _with_texts(answer, TEXT_VRS, lambda text: nearest(text, terms))


def _with_texts(found: DataSet, vrs: Iterable[str], change: Callable[[str], str]) -> DataSet:
    """A data set whose texts of these VRs are changed, nested ones included."""

    def changed(vr: str, value: _Value) -> _Value:
        if isinstance(value, DataSet):
            return _with_texts(value, vrs, change)
        return change(value) if vr in vrs and isinstance(value, str) else value

    return DataSet({
        tag: replace(each, values=tuple(changed(each.vr, value) for value in each.values))
        for tag, each in found.items()
    })
