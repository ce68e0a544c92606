"""Logs: one line for each event, as JSON or, for a console, coloured."""

import logging
from typing import Any

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.typing import EventDict

from parley.shared.metrics import errors

ERRORS = ("error", "exception", "critical")
RECORD, SEARCH, OTHER = "record", "search", "other"
KINDS = {"worker.record": RECORD, "worker.search": SEARCH}
"""The kinds of errors that are no bugs of ours, by the component of the event."""
LEVELS = logging.getLevelNamesMapping()
for _kind in (RECORD, SEARCH, OTHER):
    # A counter that appears with its first increment has not grown, as Prometheus sees it.
    errors.labels(_kind)


def configure(level: str, style: str, **always: str) -> None:
    """Set up logging of the process; `always` is added to every line (such as the node's name).

    Lines of libraries are formatted likewise.
    """
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if style == "console" else structlog.processors.JSONRenderer()
    )
    finished: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[_drop_below_level, _count_error, *finished, renderer],
        # Loggers are cached, so what may change is not in them but in the first processor.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**always)
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    # The outbox and the worker log themselves that the broker is away.
    logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)
    named = [_count_library_error, structlog.stdlib.add_logger_name, *finished]
    lines = logging.StreamHandler()
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=named, processors=[_without_record, renderer])
    )
    logging.basicConfig(handlers=[lines])
    set_level(level)


def set_level(level: str) -> None:
    """Log events of this level and above from now on; those of libraries from warnings on."""
    _level.number = LEVELS.get(level.upper(), logging.INFO)
    logging.getLogger().setLevel(max(_level.number, logging.WARNING))


class _Level:
    number = logging.INFO


_level = _Level()


def _drop_below_level(_logger: Any, level: str, line: EventDict) -> EventDict:
    if LEVELS[level.upper()] < _level.number:
        raise structlog.DropEvent
    return line


def _count_error(_logger: Any, level: str, line: EventDict) -> EventDict:
    if level in ERRORS:
        errors.labels(KINDS.get(line["event"].rpartition(".")[0], OTHER)).inc()
    return line


def _count_library_error(_logger: Any, level: str, line: EventDict) -> EventDict:
    if level in ERRORS:
        errors.labels(OTHER).inc()
    return line


_without_record = structlog.stdlib.ProcessorFormatter.remove_processors_meta


def _is_ours(record: logging.LogRecord) -> bool:
    """Drop aiohttp's log of a malformed request: it would quote the request, with the token in it."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
