"""Pub/sub in memory: a published message waits at each subscriber until the test delivers or loses it."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from parley.shared import events, rooms
from parley.shared.events import Event


class InMemoryPubSub:
    """Queues each message for every subscriber of its channel."""

    def __init__(self) -> None:
        self.subscribers: list[MemoryBus] = []

    def publish(self, channel: str, body: bytes) -> None:
        for subscriber in self.subscribers:
            if channel in subscriber.confirmed:
                subscriber.waiting.append((channel, body))

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        for room, published in events_by_room.items():
            self.publish(rooms.channel(room), events.pack(published))


class MemoryBus:
    """The bus of one node; `waiting` holds the messages that were not delivered yet."""

    def __init__(self, pubsub: InMemoryPubSub) -> None:
        self._pubsub = pubsub
        self.confirmed: set[str] = set()
        self.waiting: deque[tuple[str, bytes]] = deque()
        pubsub.subscribers.append(self)

    def stop(self) -> None:
        """Receive no more messages."""
        self._pubsub.subscribers.remove(self)

    async def subscribe(self, channels: Iterable[str]) -> None:
        wanted = set(channels)
        if wanted <= self.confirmed:
            return
        await asyncio.sleep(0)
        self.confirmed |= wanted

    def drop(self, channels: Collection[str]) -> None:
        self.confirmed.difference_update(channels)

    async def publish(self, bodies: Mapping[str, bytes]) -> None:
        for channel, body in bodies.items():
            self._pubsub.publish(channel, body)

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        await self._pubsub.publish_events(events_by_room)

    def publish_best_effort(self, room: str, event: Event) -> None:
        self._pubsub.publish(rooms.channel(room), events.pack([event]))
