"""A load that runs while a fault is caused, and a stopwatch for its effects."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from clients.chat import eventually
from clients.recording_clients import ACK_TIMEOUT, RecordingClient
from clients.socketio_lean import Disconnected


class LoadGenerator:
    """Clients that send messages until the end of the block, to each conversation in turn.

    Each client sends one message at a time and retries it until it is accepted. `pause` is the time between
    two messages, in seconds; `padding` is appended to their contents. Both may be changed meanwhile.
    """

    def __init__(
        self, senders: Sequence[RecordingClient], conversations: Sequence[str], pause: float = 0.0
    ) -> None:
        self._opened, self._conversations = senders, conversations
        self.pause, self.padding = pause, ""
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []
        self.accepted: list[float] = []
        """When each message was accepted, by the monotonic clock."""

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._send_forever(client)) for client in self._opened]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if kind is not None:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        else:
            await asyncio.gather(*self._tasks)

    async def wait_for_accepted(self, count: int, deadline: float = 15.0) -> None:
        """Wait until this many more messages are accepted."""
        enough = len(self.accepted) + count
        await eventually(lambda: len(self.accepted) >= enough, deadline)

    async def _send_forever(self, client: RecordingClient) -> None:
        for turn in itertools.count():
            if self._over:
                return
            conversation_id = self._conversations[turn % len(self._conversations)]
            await client.send_until_accepted(conversation_id, f"{client.user_id} says {turn}{self.padding}")
            self.accepted.append(time.monotonic())
            if turn % 10 == 9:
                await self._read(client, conversation_id)
            await asyncio.sleep(self.pause)

    async def _read(self, client: RecordingClient, conversation_id: str) -> None:
        with contextlib.suppress(TimeoutError, Disconnected):
            await client.call("markConversationAsRead", {"conversationId": conversation_id}, ACK_TIMEOUT)


def longest_stop(senders: Iterable[RecordingClient]) -> float:
    """Return the longest time in seconds in which a client, which sends one by one, could send nothing."""
    times = [sorted(sender.accepted.values()) for sender in senders]
    stops = (later - earlier for each in times for earlier, later in itertools.pairwise(each))
    return max(stops, default=0.0)


class Stopwatch:
    """Measures the seconds since its creation."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    async def until(self, condition: Callable[[], Any], deadline: float) -> float:
        """Wait for a condition until `deadline` seconds after the start; return the elapsed seconds."""
        await eventually(condition, deadline - self.seconds)
        return self.seconds
