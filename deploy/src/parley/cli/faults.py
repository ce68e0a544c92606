"""The faults of servers, and one sentence for each."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aio_pika.exceptions import AuthenticationError, ProbableAuthenticationError
from aiormq.exceptions import AMQPError
from pymongo.errors import OperationFailure, PyMongoError
from redis.exceptions import AuthenticationError as RedisAuthenticationError
from redis.exceptions import NoPermissionError, RedisClusterException, RedisError, ResponseError

from parley.cli.errors import CommandError
from parley.shared import redis
from parley.shared.settings import SettingsError

FAULTS = (OSError, TimeoutError, AMQPError, PyMongoError, RedisError, RedisClusterException)
"""Exceptions of a server that is away, or refuses something."""
NOT_AUTHORIZED, AUTHENTICATION_FAILED = 13, 18
"""Error codes of MongoDB."""


@contextmanager
def named(server: str, setting: str) -> Iterator[None]:
    """Raise the faults of a server as a `CommandError` that names it and its setting."""
    try:
        yield
    except BrokenPipeError:
        # Not the server's: the reader of the output has gone.
        raise
    except FAULTS as error:
        raise CommandError(sentence(error, server, setting)) from error


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[Any]:
    """Open a client of Redis, whose faults become a `CommandError`."""
    try:
        client = redis.connect(url, connections=4)
    except SettingsError as error:
        raise CommandError(str(error)) from error
    try:
        with named("Redis", "REDIS_URL"):
            yield client
    finally:
        await client.aclose()


def sentence(error: BaseException, server: str, setting: str) -> str:
    """Return one sentence for the fault of a server.

    Args:
        error: One of `FAULTS`.
        server: The server's name.
        setting: The setting with its URL. A URL contains a password, so it is not quoted.
    """
    if is_refused_login(error):
        return f"{server} refuses the user or the password in {setting}: correct them there, or in {server}."
    if is_denied(error):
        return (
            f"{server} denies the user in {setting} a right that the services need ({_first_line(error)}): "
            "SECURITY.md lists the rights."
        )
    if isinstance(error, OperationFailure | ResponseError):
        return f"{server} cannot do that ({_first_line(error)}): see parley doctor."
    return f"{server} cannot be reached ({_first_line(error)}): start it, or correct {setting}."


def is_refused_login(error: BaseException) -> bool:
    """Return whether a server does not know the user or the password."""
    if isinstance(error, OperationFailure):
        return error.code == AUTHENTICATION_FAILED
    refused = (AuthenticationError, ProbableAuthenticationError, RedisAuthenticationError)
    return isinstance(error, refused) or _begins(error, "WRONGPASS", "NOAUTH")


def is_denied(error: BaseException) -> bool:
    """Return whether a server knows the user, but does not permit the operation."""
    if isinstance(error, OperationFailure):
        return error.code == NOT_AUTHORIZED
    return isinstance(error, NoPermissionError) or _begins(error, "NOPERM") or "ACCESS_REFUSED" in str(error)


def _begins(error: BaseException, *codes: str) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith(codes)


def _first_line(error: BaseException) -> str:
    """Return the essence of a driver's text, which may be long."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # MongoDB's driver appends its time-outs, and all that it knows of the servers.
    return lines[0].partition(" (configured timeouts")[0][:200].rstrip(". ")
