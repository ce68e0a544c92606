"""A client that stops reading is cut off at a bound, and the others notice nothing."""

import asyncio
import base64
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import NAMESPACE, Town, User, eventually
from clients.crowd import Crowd
from clients.ledger import assert_whole
from stack import Stack

BOUND = 1 << 20
LONGEST = "x" * 8_000
ESTABLISHED = 1
KERNEL = 8 << 20
"""Bytes that both ends' kernels may hold besides, at most."""


class RawSocket:
    """A websocket by hand, with a small receive buffer, that reads only what it is told to."""

    def __init__(self, url: str, user: User) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((urlsplit(url).hostname, urlsplit(url).port))
        self._socket.settimeout(5)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.read_until(b'"sid"')
        self.say(f"40{NAMESPACE}," + json.dumps({"token": user.token}))
        self.read_until(f"40{NAMESPACE},".encode())

    def read_until(self, word: bytes) -> None:
        """Read until this has come."""
        heard = b""
        while word not in heard:
            heard += self._socket.recv(4096)

    def say(self, text: str) -> None:
        """Send one masked frame."""
        body, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(body))
        self._socket.sendall(b"\x81\xfe" + struct.pack(">H", len(body)) + mask + masked)

    @property
    def established(self) -> bool:
        """Whether the connection stands, by the kernel and without reading."""
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def group(crowd: Crowd) -> str:
    return await crowd.group("speaker", "sleeper", "listener")


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_client_that_stops_reading_is_cut_off(
    fragile: Stack, town: Town, crowd: Crowd, group: str, database: AsyncIOMotorDatabase[Any]
) -> None:
    url = fragile.gateway_urls[0]
    speaker, listener = await crowd.voice("speaker", url), await crowd.voice("listener", url)
    await listener.join(group)
    memory = resident(fragile.pid("gateway-1"))
    sleeper = await asyncio.to_thread(RawSocket, url, town.user("sleeper"))
    await asyncio.to_thread(sleeper.say, f'42{NAMESPACE},1["joinRoom",{{"conversationId":"{group}"}}]')
    await asyncio.to_thread(sleeper.read_until, f"43{NAMESPACE},1[".encode())

    said = 0
    while sleeper.established:
        assert said < BOUND + KERNEL, "it is not cut off"
        await asyncio.gather(*(speaker.say(group, LONGEST) for _ in range(8)))
        said += 8 * len(LONGEST)
        await eventually(lambda: len(listener.heard[group]) * len(LONGEST) >= said)  # noqa: B023 - called at once
    grown = resident(fragile.pid("gateway-1")) - memory
    sleeper.close()

    print(f"cut off after {said / 1e6:.1f} MB, the gateway has grown by {grown / 1e6:.1f} MB")
    assert said > BOUND
    await assert_whole(database, town, group, voices=[speaker], listeners=[listener])
    await eventually(lambda: listener.status.get(town.user("sleeper").id) == "offline")
