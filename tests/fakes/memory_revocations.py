"""Revocations in memory, and an event publisher that records its events."""

from collections.abc import Mapping, Sequence

from parley.shared.events import Event
from parley.shared.model import Revocation


class MemoryRevocations:
    """`Revocations`."""

    def __init__(self) -> None:
        self._kept: list[Revocation] = []

    async def put(self, revocation: Revocation) -> None:
        self._kept.append(revocation)

    async def count(self) -> int:
        return len(self._kept)

    async def all(self) -> list[Revocation]:
        return list(self._kept)


class RecordingEventPublisher:
    """`EventPublisher` that records events as (room, event)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        self.events += [(room, event) for room, events in events_by_room.items() for event in events]

    def publish_best_effort(self, room: str, event: Event) -> None:
        self.events.append((room, event))
