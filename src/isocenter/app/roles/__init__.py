"""The processes of the product, one module per role, each importing only what it needs."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import cast

from isocenter.app.cli import exit_codes
from isocenter.app.settings import Settings
from isocenter.app.settings_reader import lifeline_descriptor, read
from isocenter.errors import IsocenterError
from isocenter.infra import log
from isocenter.infra.supervise import EXIT_CONFIGURATION

ROLES = ("web", "dimse", "hl7", "worker")


def main(arguments: Sequence[str]) -> int:
    """Run one role until it is told to end; gives the exit code."""
    if len(arguments) != 1 or arguments[0] not in ROLES:
        sys.stderr.write(f"isocenter: run takes one role of {', '.join(ROLES)}\n")
        return exit_codes.USAGE
    try:
        settings = read().settings
        configure_log(settings)
        module = importlib.import_module(f"isocenter.app.roles.{arguments[0]}")
        cast("Callable[[Settings], None]", module.run)(settings)
    except IsocenterError as error:
        sys.stderr.write(f"isocenter: {error.message}\n")
        code = exit_codes.OF_KIND[error.kind]
        supervised = lifeline_descriptor() is not None
        return EXIT_CONFIGURATION if supervised and code == exit_codes.USAGE else code
    except KeyboardInterrupt:
        return exit_codes.OK
    return exit_codes.OK


def configure_log(settings: Settings) -> None:
    """Send log lines where the settings say, standard error by default."""
    on_terminal = settings.log_file is None and sys.stderr.isatty()
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and on_terminal)
    stream = settings.log_file.open("a", encoding="utf-8") if settings.log_file else None
    log.configure(settings.log_level, "console" if as_text else "json", stream=stream)
