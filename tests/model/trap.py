"""Traps: the next calls of a part to its store, one of which fails or stalls, before or after its effect."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from parley.persistence_worker.ports import HeadMove, MemberKey
from parley.shared.events import Event
from parley.shared.model import Membership, Message

Trapdoor = Literal["fail", "stall"]


class Trap:
    """Counts the moments before and after each call, and springs at the one it was set for."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error
        self._left = 0
        self._does: Trapdoor = "fail"
        self._stalled: list[asyncio.Future[None]] = []

    def set(self, moments: int, does: Trapdoor) -> None:
        """Spring at the next but `moments`."""
        self._left, self._does = moments + 1, does

    def release(self) -> None:
        """Whatever stalls goes on; nothing is set any more."""
        self._left = 0
        stalled, self._stalled = self._stalled, []
        for gate in stalled:
            if not gate.done():
                gate.set_result(None)

    @property
    def stalls(self) -> bool:
        """Whether somebody stands in it."""
        return any(not gate.done() for gate in self._stalled)

    async def step(self) -> None:
        """One moment."""
        await asyncio.sleep(0)
        self._left -= 1
        if self._left != 0:
            return
        if self._does == "fail":
            raise self._error("trapped")
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stalled.append(gate)
        await gate


class Trapped:
    """A port each of whose calls may fail or stall, before or after its effect."""

    def __init__(self, target: Any, trap: Trap) -> None:
        self._target, self._trap = target, trap

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        async def call(*args: Any, **named: Any) -> Any:
            await self._trap.step()
            result = await method(*args, **named)
            await self._trap.step()
            return result

        return call


class TrappedMessages(Trapped):
    """Several are inserted one after the other."""

    async def insert(self, messages: Sequence[Message]) -> int:
        for index, message in enumerate(messages):
            await self._trap.step()
            if not await self._target.insert([message]):
                return index
        await self._trap.step()
        return len(messages)


class TrappedHeads(Trapped):
    """Several are moved one after the other."""

    async def move(self, moves: Sequence[HeadMove]) -> None:
        for move in moves:
            await self._trap.step()
            await self._target.move([move])
        await self._trap.step()


class TrappedMemberships(Trapped):
    """Several are saved one after the other."""

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        overtaken = []
        for change in changes:
            await self._trap.step()
            overtaken += await self._target.save([change])
        await self._trap.step()
        return overtaken


class TrappedAnnouncer(Trapped):
    """Several rooms are told one after the other; `told` is everything that was."""

    def __init__(self, target: Any, trap: Trap, told: list[Event]) -> None:
        super().__init__(target, trap)
        self._told = told

    async def announce(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        for room, events in events_by_room.items():
            await self._trap.step()
            self._told += events
            await self._target.announce({room: events})
        await self._trap.step()
