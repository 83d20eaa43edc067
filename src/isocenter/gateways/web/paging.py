"""Addresses of following pages: the same search, continued behind the last row."""

from urllib.parse import urlencode

from starlette.requests import Request


def next_url(request: Request, **changed: object) -> str:
    """The address of this page with parameters changed, empty ones and confirmations dropped."""
    parameters = {
        name: value for name, value in request.query_params.items() if value and name != "done"
    }
    parameters.update({name: str(value) for name, value in changed.items()})
    return f"{request.url.path}?{urlencode(parameters)}"


def row_key(text: str) -> int | None:
    """The key of the row to continue behind; None for anything that is no key."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
