"""Which port each part listens on, all on 127.0.0.1."""

import contextlib
import errno
import random
import socket
from dataclasses import dataclass

from parley.stack.errors import StackError

LOOPBACK = "127.0.0.1"
BLOCK = 64
FIRST, LAST = 10_240, 32_000
"""Below the ephemeral ports: a client that retries to one of those can end up connected to itself."""

MOST_REPLICAS = 24
_claims: dict[int, int] = {}
"""Blocks that this process chose, by base: a descriptor that listens on the last port, no server's."""
_FIRST_GATEWAY, _FIRST_WORKER = 8, 36


@dataclass(frozen=True)
class Ports:
    """A block of neighbouring ports from `base`, and nginx's own port."""

    base: int
    http: int

    @property
    def redis(self) -> int:
        return self.base + 1

    @property
    def amqp(self) -> int:
        return self.base + 2

    @property
    def mongodb(self) -> int:
        return self.base + 3

    @property
    def epmd(self) -> int:
        return self.base + 4

    @property
    def erlang(self) -> int:
        return self.base + 5

    def gateway(self, number: int) -> int:
        return self.base + _FIRST_GATEWAY + number

    def worker(self, number: int) -> int:
        return self.base + _FIRST_WORKER + number


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether this process could listen there now."""
    return _refusal(port, host) is None


def free_base() -> int:
    """The base of a block of which no port is in use, and which nobody else is given while we live."""
    blocks = list(range(FIRST, LAST, BLOCK))
    random.shuffle(blocks)
    for base in blocks:
        if base not in _claims and block_is_free(base):
            # Whoever looked at the same time is left with a block that is in use.
            with contextlib.suppress(OSError):
                _claims[base] = _listen(_last(base), LOOPBACK).detach()
                return base
    raise StackError(f"No {BLOCK} neighbouring free ports between {FIRST} and {LAST}.")


def block_is_free(base: int) -> bool:
    """Whether nobody uses any port of a block, or claims it, but ourselves."""
    end = _last(base) if base in _claims else base + BLOCK
    return all(is_free(port) for port in range(base, end))


def require_free(port: int, host: str, setting: str) -> None:
    """Refuse a port of the user's choice that cannot be had, naming the setting to change."""
    refusal = _refusal(port, host)
    if refusal is None:
        return
    if refusal.errno == errno.EACCES:
        raise StackError(f"Port {port} may be used by root only: set {setting} in .env to one above 1023.")
    if refusal.errno == errno.EADDRINUSE:
        raise StackError(f"Port {port} is in use: stop what listens there, or set {setting} in .env.")
    raise StackError(f"Cannot listen on {host}:{port}, by HTTP_HOST and {setting}: {refusal.strerror}.")


def _refusal(port: int, host: str) -> OSError | None:
    try:
        _listen(port, host).close()
    except OSError as refusal:
        return refusal
    except (UnicodeError, TypeError):
        return OSError(errno.EINVAL, "that is no name of a host")
    return None


def _last(base: int) -> int:
    return base + BLOCK - 1


def _listen(port: int, host: str) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1)
    except BaseException:
        listening.close()
        raise
    return listening
