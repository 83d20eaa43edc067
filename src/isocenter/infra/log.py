"""Structured logs that cannot carry patient data.

A line is an event name and fields. A field whose name is not on the allow-list below is replaced by
``[withheld]``, and an exception is written as its type and the code locations it passed, without
its text, because texts quote data. So a careless call loses information, never confidentiality.
Where log lines go is the caller's choice; this writes text.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any, Literal, TextIO, TypeAlias

import structlog

Logger: TypeAlias = structlog.typing.FilteringBoundLogger
Format: TypeAlias = Literal["console", "json"]

WITHHELD = "[withheld]"
_VALUE_CHARACTERS_MAX = 500

# Names only of things that identify machines, protocols, work and amounts. Names of things that
# describe people (patient_name, patient_id, message, body, query, value, text, data...) must never
# be added.
_ALLOWED = """
    accession_ae_title action address ae_title affected_sop_class_uid applied association
    attempt attempts attempts_max batch bind bucket bytes called_ae_title calling_ae_title
    channel children client code codec command command_field connection connections control_id
    correlation_id count database delay_s delivery_id destination direction due_at duration_ms
    duration_s elapsed_ms elapsed_s endpoint entity error_code error_kind error_location
    error_type event_count event_id event_name exam_count exit_code exit_signal failed
    file_count format frame_count free_bytes handler home host http_method http_path http_status
    instance_count instances interval_s job_id key kind lane late_count limit lines listener
    local_port log_level max_pdu_length_bytes message_control_id message_id message_type method
    migration migrations missing mode name origin output path peer peer_name phase pid pool port
    process program progress protocol queue_length rate reason_code received region remaining
    remote_address remote_port request_id resident_bytes restart_count result role route rows
    schema scheme seconds sent sequence series_count series_instance_uid service setting signal
    size_bytes skipped socket sop_class_uid sop_instance_uid source stage start state status
    step storage study_count study_instance_uid subscriber subsystem table thread threads
    timeout_s total transfer_syntax_uid trigger_event uid url_scheme user_id version waiting
    workers
"""
ALLOWED_FIELDS = frozenset(_ALLOWED.split())
_STRUCTURE_FIELDS = frozenset({"event", "level", "module", "timestamp", "exception"})


def withhold_unlisted(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The same line with every field that is not allow-listed replaced."""
    for name, value in fields.items():
        if name in _STRUCTURE_FIELDS:
            continue
        if name not in ALLOWED_FIELDS:
            fields[name] = WITHHELD
        elif isinstance(value, str) and len(value) > _VALUE_CHARACTERS_MAX:
            fields[name] = value[:_VALUE_CHARACTERS_MAX] + "…"
        elif not isinstance(value, str | int | float | bool | datetime | None):
            fields[name] = f"{value}"[:_VALUE_CHARACTERS_MAX]
    return fields


def describe_exception(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The same line with ``exc_info`` turned into type and code locations, without its text."""
    given = fields.pop("exc_info", None)
    if not given:
        return fields
    error = given if isinstance(given, BaseException) else sys.exc_info()[1]
    if error is None:
        return fields
    frames = traceback.extract_tb(error.__traceback__)
    fields["error_type"] = f"{type(error).__module__}.{type(error).__qualname__}"
    fields["exception"] = " < ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}:{frame.name}"
        for frame in reversed(frames)
    )
    return fields


def configure(
    level: str = "INFO", output_format: Format = "console", *, stream: TextIO | None = None
) -> None:
    """Send all later lines of this process to ``stream`` (standard error), libraries' too.

    ``level`` is a name of the standard logging levels; ``output_format`` is ``console`` for people,
    ``json`` for collectors.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    _route_lines(number, output_format, stream or sys.stderr)
    logging.basicConfig(handlers=[_LibraryLines()], level=max(number, logging.WARNING), force=True)


def _route_lines(level: int, output_format: Format, output: TextIO) -> None:
    render: structlog.typing.Processor
    if output_format == "json":
        render = structlog.processors.JSONRenderer(sort_keys=True)
    else:
        render = structlog.dev.ConsoleRenderer(colors=output.isatty())
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            describe_exception,
            withhold_unlisted,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,
    )


class _LibraryLines(logging.Handler):
    """Passes on that a library logged, and where; its text may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        get_logger(record.name).log(
            record.levelno, "library_message", error_location=f"{record.filename}:{record.lineno}"
        )


def get_logger(name: str) -> Logger:
    """A logger for the module ``name``: ``log.info("peer_added", ae_title=…)``."""
    return structlog.get_logger(module=name)


# Lines before `configure`, and those of a program that never calls it, pass the same guard.
_route_lines(logging.INFO, "console", sys.stderr)
