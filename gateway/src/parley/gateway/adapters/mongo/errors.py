"""Errors of MongoDB's driver, as the core's."""

from contextlib import AbstractContextManager

import structlog
from pymongo.errors import PyMongoError

from parley.gateway.core.errors import Unavailable
from parley.shared import mongo

log = structlog.get_logger()

UNAVAILABLE = "The database is unavailable. Retry later."


def translate_errors() -> AbstractContextManager[None]:
    """Raise `Unavailable` for an outage of MongoDB; pass on what is the request's own fault."""
    return mongo.translate_errors(_unavailable)


def _unavailable(error: PyMongoError) -> Unavailable:
    log.warning("gateway.mongodb.failed", error=str(error)[:200])
    return Unavailable(UNAVAILABLE)
