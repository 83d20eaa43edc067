"""Tables of the documents, as Markdown has them."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The table; cells are their text, a bar in one of them parts no columns."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def yes_no(truth: bool) -> str:
    """``truth`` as tables of conformance say it."""
    return "yes" if truth else "no"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")
