"""Which port each part listens on, all on 127.0.0.1."""

import errno
import random
import socket
from dataclasses import dataclass

from stack.errors import StackError

LOOPBACK = "127.0.0.1"
BLOCK = 64
FIRST, LAST = 10_240, 32_000
"""Below the ephemeral ports: a client that retries to one of those can end up connected to itself."""

MOST_REPLICAS = 24
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
    """The base of a block of which no port is in use."""
    blocks = list(range(FIRST, LAST, BLOCK))
    random.shuffle(blocks)
    for base in blocks:
        if block_is_free(base):
            return base
    raise StackError(f"No {BLOCK} neighbouring free ports between {FIRST} and {LAST}.")


def block_is_free(base: int) -> bool:
    return all(is_free(port) for port in range(base, base + BLOCK))


def require_free(port: int, host: str, setting: str) -> None:
    """Refuse a port of the user's choice that cannot be had, naming the setting to change."""
    refusal = _refusal(port, host)
    if refusal is None:
        return
    if refusal.errno == errno.EACCES:
        raise StackError(f"Port {port} may be used by root only: set {setting} in .env to one above 1023.")
    if refusal.errno == errno.EADDRINUSE:
        raise StackError(f"Port {port} is in use: stop what listens there, or set {setting} in .env.")
    raise StackError(f"Cannot listen on {host}:{port}: {refusal.strerror}.")


def _refusal(port: int, host: str) -> OSError | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as refusal:
        return refusal
    return None
