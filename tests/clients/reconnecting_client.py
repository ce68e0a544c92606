"""A client that recovers as real ones do: it reconnects, joins its rooms again, and syncs."""

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Self

from picows import WSError

from clients.recording_clients import RecordingClient
from clients.socketio_lean import Disconnected, LeanSocket, Refused

DELAY = 0.15, 0.45
"""Seconds before a client connects again, as the chat page waits at first."""
LOST = (OSError, WSError, Refused, Disconnected, TimeoutError, AssertionError)


def _revision(payload: dict[str, Any]) -> dict[str, int]:
    # A gateway of version 0.2.0 gives no epoch.
    return {"rev": payload["rev"], "epoch": payload.get("epoch", 0)}


class ReconnectingClient(RecordingClient):
    """A client that keeps what its user would see: live messages, and messages of a sync."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.displayed: defaultdict[str, dict[int, str]] = defaultdict(dict)
        """Contents by number, by conversation."""
        self.offline_seconds: list[float] = []
        """Seconds from each loss of the socket until the client had caught up."""
        self.revisions: dict[str, dict[str, int]] = {}
        """The revision and epoch up to which the client knows each conversation."""
        self._caught_up = True
        self._reconnecting: asyncio.Task[None] | None = None

    async def connect(self) -> Self:
        await super().connect()
        self._reconnecting = asyncio.create_task(self._reconnect_forever())
        return self

    async def join(self, conversation_id: str) -> dict[str, Any]:
        self.revisions.setdefault(conversation_id, {"rev": 0, "epoch": 0})
        return await super().join(conversation_id)

    def drop_connection(self) -> None:
        """Lose the socket, as when the network changes."""
        assert isinstance(self.socket, LeanSocket)
        self.socket.abort()

    async def close(self) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        await super().close()

    def _on_message(self, conversation_id: str, message: dict[str, Any]) -> None:
        super()._on_message(conversation_id, message)
        self._display(conversation_id, message)
        if self._caught_up:
            self.revisions[conversation_id] = _revision(message)

    def _display(self, conversation_id: str, message: dict[str, Any]) -> None:
        self.displayed[conversation_id][message["seq"]] = message["content"]
        self.numbers.setdefault(message["_id"], message["seq"])
        self.received_at.setdefault(message["_id"], time.monotonic())

    async def _reconnect_forever(self) -> None:
        while True:
            await self.socket.closed.wait()
            gone, self._caught_up = time.monotonic(), False
            self.disconnects += 1
            while not self._caught_up:
                await asyncio.sleep(random.uniform(*DELAY))
                with contextlib.suppress(*LOST):
                    await self._reconnect()
            self.offline_seconds.append(time.monotonic() - gone)

    async def _reconnect(self) -> None:
        self._last.clear()
        await super().connect()
        try:
            await self._catch_up()
        except LOST:
            await super().close()
            raise

    async def _catch_up(self) -> None:
        for conversation_id in self.revisions:
            await self._call_ok("joinRoom", {"conversationId": conversation_id})
        behind = set(self.revisions)
        while behind:
            answer = await self._sync(behind)
            for conversation_id, changes in answer["conversations"].items():
                await self._take(conversation_id, changes)
            behind = {each for each, changes in answer["conversations"].items() if changes.get("more")}
        self._caught_up = True

    async def _take(self, conversation_id: str, changes: dict[str, Any]) -> None:
        # A client that is too far behind for a sync reads the history instead.
        is_too_far = changes.get("tooFar", False)
        if is_too_far:
            # First, since live messages arrive while the history is read.
            self.displayed[conversation_id].clear()
        messages = await self._user.history(conversation_id) if is_too_far else changes["messages"]
        for message in messages:
            self._display(conversation_id, message)
        self.revisions[conversation_id] = _revision(changes)

    async def _sync(self, behind: Iterable[str]) -> dict[str, Any]:
        revisions = {conversation_id: self.revisions[conversation_id] for conversation_id in behind}
        answer = await self.call("sync", {"conversations": revisions})
        if not answer["success"] and answer["error"]["code"] == "INVALID":
            # A gateway of version 0.2.0 takes plain revisions.
            plain = {conversation_id: held["rev"] for conversation_id, held in revisions.items()}
            return await self._call_ok("sync", {"conversations": plain})
        if not answer["success"]:
            raise Disconnected(f"sync: {answer}")
        return answer

    async def _call_ok(self, event: str, payload: Any) -> dict[str, Any]:
        """Call an event; raise Disconnected when it fails, so that the client starts again."""
        answer = await self.call(event, payload)
        if not answer["success"]:
            raise Disconnected(f"{event}: {answer}")
        return answer
