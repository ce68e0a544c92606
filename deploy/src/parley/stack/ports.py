"""The port of each part. The hosts of a cluster use the same ports on addresses of their own."""

import contextlib
import errno
import random
import socket
from dataclasses import dataclass

from parley.stack.errors import StackError

LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"
BLOCK = 64
FIRST, LAST = 10_240, 32_000
"""Below the ephemeral range: a client that retries to an ephemeral port can end up connected to itself."""

MAX_REPLICAS = 24
_reserved: dict[int, int] = {}
"""Blocks that this process chose: a descriptor that listens on the block's last, unused port, by base."""
_FIRST_GATEWAY, _FIRST_WORKER = 8, 36


@dataclass(frozen=True)
class Ports:
    """A block of consecutive ports from `base`, and those of nginx and of the admin page, if there is one."""

    base: int
    http: int
    admin: int | None = None

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

    def erlang(self, host: int) -> int:
        """Return the port of a node; hosts on loopback addresses share a name server, and so need several."""
        return self.base + 5 + max(host - 1, 0)

    @property
    def sentinel(self) -> int:
        return self.base + 8

    @property
    def prometheus(self) -> int:
        return self.base + 61

    def gateway(self, number: int) -> int:
        return self.base + _FIRST_GATEWAY + number

    def worker(self, number: int) -> int:
        return self.base + _FIRST_WORKER + number


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether this process could listen on the port now."""
    return _listen_error(port, host) is None


def free_base() -> int:
    """Reserve a block of unused ports for the life of this process and return its base.

    Raises:
        StackError: no block is free.
    """
    blocks = list(range(FIRST, LAST, BLOCK))
    random.shuffle(blocks)
    for base in blocks:
        if base not in _reserved and block_is_free(base):
            # Two processes can find the same block free. Only one can listen on its last port, so the
            # other one tries the next block.
            with contextlib.suppress(OSError):
                _reserved[base] = _listen(_last(base), LOOPBACK).detach()
                return base
    raise StackError(f"There are no {BLOCK} consecutive free ports between {FIRST} and {LAST}.")


def block_is_free(base: int) -> bool:
    """Whether no other process uses or has reserved any port of the block."""
    end = _last(base) if base in _reserved else base + BLOCK
    return all(is_free(port) for port in range(base, end))


def require_free(port: int, host: str, setting: str) -> None:
    """Check that the chosen port can be listened on.

    Raises:
        StackError: it cannot; the message names the setting to change.
    """
    error = _listen_error(port, host)
    if error is None:
        return
    if error.errno == errno.EACCES:
        raise StackError(f"Only root may use port {port}: set {setting} in .env to a port above 1023.")
    if error.errno == errno.EADDRINUSE:
        raise StackError(
            f"Port {port} is in use: stop its program, or set {setting} in .env to another port."
        )
    raise StackError(f"Cannot listen on {joined(host, port)} (HTTP_HOST and {setting}): {error.strerror}.")


def joined(host: str, port: int) -> str:
    """Return an address with its port, as URLs and nginx write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen_error(port: int, host: str) -> OSError | None:
    try:
        _listen(port, host).close()
    except OSError as error:
        return error
    except (UnicodeError, TypeError):
        return OSError(errno.EINVAL, "not a valid host name")
    return None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _last(base: int) -> int:
    return base + BLOCK - 1


def _listen(port: int, host: str) -> socket.socket:
    listening = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        if listening.family == socket.AF_INET6:
            # nginx does the same: an address of IPv6 takes no connections of IPv4.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1)
    except BaseException:
        listening.close()
        raise
    return listening
