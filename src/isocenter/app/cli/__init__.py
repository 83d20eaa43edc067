"""The command line ``isocenter``.

``run ROLE`` is answered here, without the libraries that draw help and tables: the processes that
it starts live long and must stay small. Every other command is loaded when it is asked for.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import cast


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    plain_run = given[:1] == ["run"] and len(given) > 1 and not given[1].startswith("-")
    module = "isocenter.app.roles" if plain_run else "isocenter.app.cli.commands"
    run = cast("Callable[[list[str]], int]", importlib.import_module(module).main)
    sys.exit(run(given[1:] if plain_run else given))
