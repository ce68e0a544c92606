"""Whether a part does its work already: one question over the network, answered in seconds at most."""

import http.client
import json
import socket
from collections.abc import Callable

from parley.stack.ports import LOOPBACK

Probe = Callable[[], bool]
"""Asks once; True when the part is ready."""

PATIENCE = 2.0
"""Seconds that one question may take."""


def listens(port: int) -> Probe:
    """Ready when it accepts connections."""
    return lambda: _says(port, b"", 0) is not None


def redis_answers(port: int) -> Probe:
    """Ready when it answers PING with PONG (it refuses while it loads)."""
    return lambda: _says(port, b"PING\r\n", 5) == b"+PONG"


def amqp_answers(port: int) -> Probe:
    """Ready when it answers the protocol header with a method frame (Connection.Start)."""
    return lambda: _says(port, b"AMQP\x00\x00\x09\x01", 1) == b"\x01"


def http_answers(port: int, path: str, status: int = 200, host: str = LOOPBACK) -> Probe:
    """Ready when GET `path` has this status."""
    return lambda: http_status(port, path, host) == status


def http_status(port: int, path: str, host: str = LOOPBACK) -> int | None:
    """The status of GET `path`, or None when nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def http_problems(port: int, path: str) -> list[str]:
    """What GET `path` says is wrong, as the services' `/readyz` does; nothing when nobody answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return [str(problem) for problem in json.loads(connection.getresponse().read())["problems"]]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return []
    finally:
        connection.close()


def _says(port: int, question: bytes, length: int) -> bytes | None:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PATIENCE) as connection:
            connection.sendall(question)
            return connection.recv(length) if length else b""
    except OSError:
        return None
