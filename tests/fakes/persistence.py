"""One conversation upon the stores in memory, workers that persist its records, and crashes of theirs."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fakes.memory_store import MemoryHeads, MemoryMemberships, MemoryMessages, MemoryWholeBatches, Tables
from parley.persistence_worker.persist import Persister
from parley.shared.events import (
    Event,
)
from parley.shared.model import (
    Conversation,
    Membership,
    Message,
    Person,
    message_id,
    now,
)
from parley.shared.records import Deletion, Edit, NewMessage, ReadMark

C = "conversation"


USERS = ("ann", "bob", "cem")


class Crash(Exception):
    """The worker was killed here."""


class Crashing:
    """Lets `calls` calls through, then crashes, before or after the effect."""

    def __init__(self, target: Any, fuse: "Fuse") -> None:
        self._target, self._fuse = target, fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        async def call(*args: Any) -> Any:
            self._fuse.burn(after=False)
            result = await method(*args)
            self._fuse.burn(after=True)
            return result

        return call


class Fuse:
    def __init__(self, calls: int) -> None:
        self.left = calls

    def burn(self, *, after: bool) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class PublishedEvents:
    """Records the published events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        for published in events_by_room.values():
            self.events += published

    def all(self, kind: type) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]


class Simulation:
    """One conversation of three, and workers on it."""

    def __init__(self) -> None:
        at = now()
        self.tables = Tables()
        self.published = PublishedEvents()
        self.tables.conversations[C] = Conversation(id=C, kind="group", created_by="ann", created_at=at)
        for user in USERS:
            self.tables.memberships[C, user] = Membership(conversation_id=C, user_id=user, joined_at=at)

    def worker(self, fuse: Fuse | None = None) -> Persister:
        parts = (
            MemoryMessages(self.tables),
            MemoryHeads(self.tables),
            MemoryMemberships(self.tables),
            self.published,
            MemoryWholeBatches(self.tables),
        )
        wrapped: Any = [Crashing(p, fuse) for p in parts] if fuse else parts
        return Persister(*wrapped)

    def check(self) -> None:
        """Check the invariants that hold while no worker runs."""
        stored = self.tables.of_conversation(C)
        conversation = self.tables.conversations[C]
        assert [m.seq for m in stored] == list(range(1, len(stored) + 1))
        assert conversation.last_seq == len(stored)
        assert conversation.rev == max((m.rev for m in stored), default=0)
        for user in USERS:
            m = self.tables.memberships[C, user]
            recount = sum(s.seq > m.base and s.sender_id != user for s in stored)
            assert m.unread(conversation.last_seq, 0) == recount, user


def new(sender: str, content: str = "hello", name: str | None = None) -> NewMessage:
    message = Message(
        id=message_id(sender, C, name),
        conversation_id=C,
        sender_id=sender,
        content=content,
        client_message_id=name,
        created_at=now(),
    )
    return NewMessage(id=str(uuid.uuid4()), message=message, sender=Person(id=sender))


def read(user: str, seq: int) -> ReadMark:
    return ReadMark(id=str(uuid.uuid4()), conversation_id=C, user_id=user, seq=seq, message_id=None, at=now())


def edit(record: NewMessage, content: str) -> Edit:
    return Edit(
        id=str(uuid.uuid4()),
        conversation_id=C,
        message_id=record.message.id,
        user=record.sender,
        content=content,
        at=now(),
    )


def delete(record: NewMessage) -> Deletion:
    return Deletion(
        id=str(uuid.uuid4()),
        conversation_id=C,
        message_id=record.message.id,
        user_id=record.sender.id,
        at=now(),
    )


class Counted:
    """Notes the names of the calls."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self._target, name)


def frozen(simulation: Simulation, gate: asyncio.Event, calls: int) -> Persister:
    class Freezing:
        left = calls

        def __init__(self, target: Any) -> None:
            self._target = target

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._target, name)

            async def call(*args: Any) -> Any:
                Freezing.left -= 1
                if Freezing.left == 0:
                    await gate.wait()
                return await method(*args)

            return call

    parts: Any = [
        Freezing(p)
        for p in (
            MemoryMessages(simulation.tables),
            MemoryHeads(simulation.tables),
            MemoryMemberships(simulation.tables),
            simulation.published,
        )
    ]
    return Persister(*parts)
