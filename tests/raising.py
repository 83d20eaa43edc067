"""A check for tests about any input whatever: a function may fail in one way only."""

from collections.abc import Callable
from typing import Any


def check_raises_only(
    error: type[BaseException] | tuple[type[BaseException], ...],
    function: Callable[..., Any],
    *arguments: Any,
    **named: Any,
) -> Any:
    """Call the function; None when it raises ``error``. Whatever else it raises fails the test."""
    try:
        return function(*arguments, **named)
    except error:
        return None
