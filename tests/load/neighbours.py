"""Two users beside those who load the system: how long their messages take is what the load costs others."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from clients.chat import NAMESPACE, token
from clients.socketio_lean import LeanSocket, OnEvent
from parley.stack import Stack

PAUSE_SECONDS = 0.1
"""The pause between two of their messages."""


async def connect(stack: Stack, user: str, on_event: OnEvent) -> LeanSocket:
    """Connect a user through nginx."""
    return await LeanSocket.connect(stack.url, NAMESPACE, {"token": token(stack.jwt_secret, user)}, on_event)


async def create_group(sockets: Sequence[LeanSocket], users: Sequence[str]) -> str:
    """Create a group of users, which their sockets join; return its id."""
    wanted = {"type": "group", "name": "load", "participants": users[1:]}
    created = await sockets[0].call("createConversation", wanted)
    room: str = created["conversation"]["_id"]
    for socket in sockets:
        await socket.call("joinRoom", {"conversationId": room})
    return room


class Neighbours:
    """Two users of one conversation, of whom one sends at a slow pace.

    Args:
        stack: A running stack.
        fits: Whether a conversation, named by its id, is one to measure in; others are created until one is.
    """

    def __init__(self, stack: Stack, fits: Callable[[str], bool] = lambda _room: True) -> None:
        self._stack, self._fits = stack, fits
        self._sent_at: dict[str, float] = {}
        self._delays: list[float] = []
        self._sockets: list[LeanSocket] = []
        self._room = ""

    async def start(self) -> None:
        """Connect, and create groups until one fits."""
        prefix = uuid.uuid4().hex[:8]
        users = [f"{prefix}-ann", f"{prefix}-bob"]
        self._sockets = [
            await connect(self._stack, users[0], lambda *_: None),
            await connect(self._stack, users[1], self._on_event),
        ]
        self._room = await create_group(self._sockets, users)
        while not self._fits(self._room):
            self._room = await create_group(self._sockets, users)

    async def run(self, seconds: float) -> list[float]:
        """Send for some seconds; return the seconds from each message to its arrival at the other one."""
        self._delays, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            name = str(uuid.uuid4())
            self._sent_at[name] = time.perf_counter()
            message = {"conversationId": self._room, "content": "x", "clientMessageId": name}
            await self._sockets[0].call("sendMessage", message)
            await asyncio.sleep(PAUSE_SECONDS)
        return self._delays

    def _on_event(self, event: str, payload: Any) -> None:
        if event == "newMessage" and payload["conversationId"] == self._room:
            began = self._sent_at.pop(payload["message"]["clientMessageId"])
            self._delays.append(time.perf_counter() - began)

    async def close(self) -> None:
        """Disconnect both."""
        await asyncio.gather(*(socket.close() for socket in self._sockets))
