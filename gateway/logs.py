"""Structured logs: one JSON object a line, and only keys and shapes of ``gateway.telemetry.ALLOWED`` in it.

    log("release_recorded", release=release_id, state="recorded")

An exception is told by its type, our stable code and the place in our own code, never by its text: foreign texts quote
values. Lines of other packages (server, database) keep their level and the name of their logger; their text is dropped.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from traceback import walk_tb
from typing import Any, TextIO

import structlog

from gateway.telemetry import allowed, code_of, word

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_ROOMS = ("gateway", "policies", "deid", "connectors")
_TOP = Path(__file__).resolve().parent.parent


def configure_logs(level: str, stream: TextIO) -> None:
    """Write lines of ``level`` and above to ``stream``, ours and those of other packages."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [known for known in root.handlers if isinstance(known, _Foreign)]:
        root.removeHandler(handler)
    root.addHandler(_Foreign())
    root.setLevel(LEVELS[level])


def log(event: str, /, *, level: str = "info", error: BaseException | None = None, **values: object) -> None:
    """Write one line: an event name, allowed values, and what may be told of ``error``."""
    structlog.get_logger().log(LEVELS[level], event, error=error, **values)


def _only_allowed(_logger: object, _method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"at": line["timestamp"], "level": line["level"], "event": word(line["event"], "unnamed")}
    if isinstance(line.get("logger"), _LoggerName):
        kept["logger"] = word(line["logger"], "unnamed")
    kept |= allowed(line)
    error = line.get("error")
    if isinstance(error, BaseException):
        kept |= {"error": type(error).__name__, "code": code_of(error)} | _place(error)
    return kept


def _place(error: BaseException) -> dict[str, str]:
    """File and line in our own code where the error came from; nothing where it never passed there."""
    place = {}
    for frame, line in walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_TOP) and path.relative_to(_TOP).parts[0] in _ROOMS:
            place = {"where": f"{path.relative_to(_TOP).as_posix()}:{line}"}
    return place


class _LoggerName(str):
    """Marks a logger's name as set here and not by whoever wrote the line."""

    __slots__ = ()


class _Foreign(logging.Handler):
    """Lines of packages that use the standard library's logging: level, logger and error, without their text."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().log(record.levelno, "foreign", logger=_LoggerName(record.name), error=error)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the standard library's name
        """The standard library would print the record's text here."""
        sys.stderr.write(f"a log line of {word(record.name, 'unnamed')} could not be written\n")
