"""A user whose requests must be answered in time while other clients send bad input."""

import asyncio
from typing import Self

from clients.chat import ChatUsers, Socket

IN_TIME = 3.0
"""Seconds."""


class HealthyUser:
    """A user with a socket at one gateway, and REST at any."""

    _socket: Socket

    def __init__(self, users: ChatUsers, name: str = "steady") -> None:
        self._user = users.user(name)

    async def connect(self) -> Self:
        self._socket = await self._user.socket()
        return self

    async def assert_served(self) -> None:
        """Check that a socket event and a REST request are answered in time."""
        async with asyncio.timeout(IN_TIME):
            await self._socket.call_ok("getOnlineUsers")
            status, body = await self._user.rest("GET", "/chats/conversations")
        assert status == 200, body
