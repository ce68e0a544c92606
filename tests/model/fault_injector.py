"""Fault injection: one of the next calls to a port fails or stalls, before or after its effect."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from parley.persistence_worker.ports import HeadMove, MemberKey, Term
from parley.shared.events import Event
from parley.shared.model import Membership, Message

Fault = Literal["fail", "stall"]


class FaultInjector:
    """Counts the steps before and after each call, and causes the armed fault at its step."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error
        self._steps_left = 0
        self._fault: Fault = "fail"
        self._stalled: list[asyncio.Future[None]] = []

    def arm(self, steps: int, fault: Fault) -> None:
        """Arm a fault after `steps` more steps."""
        self._steps_left, self._fault = steps + 1, fault

    def release(self) -> None:
        """Let stalled calls go on, and disarm."""
        self._steps_left = 0
        stalled, self._stalled = self._stalled, []
        for gate in stalled:
            if not gate.done():
                gate.set_result(None)

    @property
    def is_stalled(self) -> bool:
        """Whether a call is stalled."""
        return any(not gate.done() for gate in self._stalled)

    async def step(self) -> None:
        """Pass one step, at which a fault may happen."""
        await asyncio.sleep(0)
        self._steps_left -= 1
        if self._steps_left != 0:
            return
        if self._fault == "fail":
            raise self._error("trapped")
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stalled.append(gate)
        await gate


class FaultyPort:
    """A port each of whose calls may fail or stall, before or after its effect."""

    def __init__(self, target: Any, injector: FaultInjector) -> None:
        self._target, self._injector = target, injector

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        async def call(*args: Any, **named: Any) -> Any:
            await self._injector.step()
            result = await method(*args, **named)
            await self._injector.step()
            return result

        return call


class FaultyMessages(FaultyPort):
    """Writes messages and changes one after the other, with a step before each."""

    async def insert(self, messages: Sequence[Message]) -> int:
        for index, message in enumerate(messages):
            await self._injector.step()
            if not await self._target.insert([message]):
                return index
        await self._injector.step()
        return len(messages)

    async def replace(self, changes: Sequence[tuple[Message, int]]) -> int:
        for index, change in enumerate(changes):
            await self._injector.step()
            if not await self._target.replace([change]):
                return index
        await self._injector.step()
        return len(changes)

    async def note_changes(self, places: Mapping[str, int]) -> None:
        for record_id, place in places.items():
            await self._injector.step()
            await self._target.note_changes({record_id: place})
        await self._injector.step()


class FaultyHeads(FaultyPort):
    """Moves heads one after the other, with a step before each."""

    async def commit(self, moves: Sequence[HeadMove], term: Term) -> None:
        for move in moves:
            await self._injector.step()
            await self._target.commit([move], term)
        await self._injector.step()


class FaultyMemberships(FaultyPort):
    """Saves memberships one after the other, with a step before each."""

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        overtaken = []
        for change in changes:
            await self._injector.step()
            overtaken += await self._target.save([change])
        await self._injector.step()
        return overtaken


class FaultyAnnouncer(FaultyPort):
    """Announces events room by room, with a step before each; `announced` collects them."""

    def __init__(self, target: Any, injector: FaultInjector, announced: list[Event]) -> None:
        super().__init__(target, injector)
        self._announced = announced

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        for room, events in events_by_room.items():
            await self._injector.step()
            self._announced += events
            await self._target.publish_events({room: events})
        await self._injector.step()
