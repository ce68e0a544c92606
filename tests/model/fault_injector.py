"""Traps: the next calls of a part to its store, one of which fails or stalls, before or after its effect."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from parley.persistence_worker.ports import HeadMove, MemberKey
from parley.shared.events import Event
from parley.shared.model import Membership, Message

Fault = Literal["fail", "stall"]


class FaultInjector:
    """Counts the moments before and after each call, and springs at the one it was set for."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error
        self._left = 0
        self._fault: Fault = "fail"
        self._stalled: list[asyncio.Future[None]] = []

    def arm(self, moments: int, does: Fault) -> None:
        """Spring at the next but `moments`."""
        self._left, self._fault = moments + 1, does

    def release(self) -> None:
        """Whatever stalls goes on; nothing is set any more."""
        self._left = 0
        stalled, self._stalled = self._stalled, []
        for gate in stalled:
            if not gate.done():
                gate.set_result(None)

    @property
    def is_stalled(self) -> bool:
        """Whether somebody stands in it."""
        return any(not gate.done() for gate in self._stalled)

    async def step(self) -> None:
        """One moment."""
        await asyncio.sleep(0)
        self._left -= 1
        if self._left != 0:
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
    """Several are inserted one after the other."""

    async def insert(self, messages: Sequence[Message]) -> int:
        for index, message in enumerate(messages):
            await self._injector.step()
            if not await self._target.insert([message]):
                return index
        await self._injector.step()
        return len(messages)


class FaultyHeads(FaultyPort):
    """Several are moved one after the other."""

    async def move(self, moves: Sequence[HeadMove]) -> None:
        for move in moves:
            await self._injector.step()
            await self._target.move([move])
        await self._injector.step()


class FaultyMemberships(FaultyPort):
    """Several are saved one after the other."""

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        overtaken = []
        for change in changes:
            await self._injector.step()
            overtaken += await self._target.save([change])
        await self._injector.step()
        return overtaken


class FaultyAnnouncer(FaultyPort):
    """Several rooms are told one after the other; `told` is everything that was."""

    def __init__(self, target: Any, injector: FaultInjector, told: list[Event]) -> None:
        super().__init__(target, injector)
        self._told = told

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        for room, events in events_by_room.items():
            await self._injector.step()
            self._told += events
            await self._target.publish_events({room: events})
        await self._injector.step()
