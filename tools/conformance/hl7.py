"""How HL7 messages are refused, from the table that the gateway works by."""

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.refusal import BY_KIND, BY_SITUATION, Answer
from isocenter.standards.hl7v2.ack import ERROR_TEXT
from tools.document_table import table


def refusals() -> str:
    """Situations with a field of their own, then all others by kind."""
    rows = [_row(_said(situation), answer) for situation, answer in BY_SITUATION.items()]
    rows += [_row(f"any other: {_kind(kind)}", answer) for kind, answer in BY_KIND.items()]
    return table(["situation", "MSA-1", "ERR-3", "ERR-2"], rows)


def _row(what: str, answer: Answer) -> tuple[str, str, str, str]:
    error = f"{answer.error.value} {ERROR_TEXT[answer.error]}"
    return what, answer.code.value, error, f"`{answer.location}`" if answer.location else ""


def _said(situation: type[IsocenterError]) -> str:
    return (situation.__doc__ or situation.__name__).splitlines()[0].rstrip(".")


def _kind(kind: Kind) -> str:
    return kind.value.replace("_", " ")
