"""Probes of whether a part is ready: one network request each, with a timeout."""

import http.client
import json
import socket
from collections.abc import Callable

from parley.stack.ports import LOOPBACK

Probe = Callable[[], bool]
"""Sends one request; True when the part is ready."""

PROBE_TIMEOUT = 2.0
"""Seconds."""


def listens(port: int, host: str = LOOPBACK) -> Probe:
    """Return a probe: ready when the port accepts connections."""
    return lambda: _answer(host, port, b"", 0) is not None


def redis_answers(port: int, host: str = LOOPBACK) -> Probe:
    """Return a probe: ready when Redis answers PING with PONG (it answers an error while it loads)."""
    return lambda: _answer(host, port, b"PING\r\n", 5) == b"+PONG"


def amqp_answers(port: int, host: str = LOOPBACK) -> Probe:
    """Return a probe: ready when the protocol header is answered by a method frame (Connection.Start)."""
    return lambda: _answer(host, port, b"AMQP\x00\x00\x09\x01", 1) == b"\x01"


def http_answers(port: int, path: str, status: int = 200, host: str = LOOPBACK) -> Probe:
    """Return a probe: ready when GET `path` answers this status."""
    return lambda: http_status(port, path, host) == status


def http_status(port: int, path: str, host: str = LOOPBACK) -> int | None:
    """Return the status of GET `path`, or None when there is no answer."""
    try:
        return _get(port, path, host)[0]
    except (OSError, http.client.HTTPException):
        return None


def http_problems(port: int, path: str, host: str = LOOPBACK) -> list[str]:
    """Return the `problems` that GET `path` lists, as `/readyz` does; empty when there is no answer."""
    try:
        _, body = _get(port, path, host)
        return [str(problem) for problem in json.loads(body)["problems"]]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return []


def _get(port: int, path: str, host: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _answer(host: str, port: int, request: bytes, length: int) -> bytes | None:
    try:
        with socket.create_connection((host, port), timeout=PROBE_TIMEOUT) as connection:
            connection.sendall(request)
            return connection.recv(length) if length else b""
    except OSError:
        return None
