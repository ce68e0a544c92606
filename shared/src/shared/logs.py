"""Logs: one line an event, as JSON for machines or coloured for people."""

import logging

import structlog
from aiohttp.http_exceptions import HttpProcessingError


def configure(level: str, style: str, **always: str) -> None:
    """Set up logging of the process; `always` stands on every line (the node's name, say)."""
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if style == "console" else structlog.processors.JSONRenderer()
    )
    numeric = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**always)
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    logging.basicConfig(level=max(numeric, logging.WARNING), format="%(name)s %(levelname)s %(message)s")


def _is_ours(record: logging.LogRecord) -> bool:
    """What cannot be read as HTTP is its client's fault; it would be quoted, with the token in it."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
