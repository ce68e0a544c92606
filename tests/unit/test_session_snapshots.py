"""A node writes snapshots of its sockets for their recovery, and retries failed writes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from clients.chat import eventually
from fakes.memory_snapshot_store import MemorySnapshotStore
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.positions import Position, offset_of
from parley.gateway.core.session_snapshot import (
    ReceivedRange,
    SessionSnapshot,
    SnapshotChange,
    from_fields,
)
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.protocols.crm import CRM
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.shared import rooms

FIRST, SECOND = Position(1, 1), Position(2, 3)


class UnreliableStore(MemorySnapshotStore):
    """Counts batches, and can be away."""

    away = False
    batches = 0

    async def apply(self, changes: Sequence[SnapshotChange]) -> None:
        self.batches += 1
        if self.away:
            raise Unavailable("away")
        await super().apply(changes)

    def lose_all(self) -> None:
        self._kept.clear()


class Heads:
    """Stands for the streams and the delivery log: heads where the test sets them."""

    def __init__(self) -> None:
        self.heads: dict[str, Position] = {}

    def head(self, conversation_id: str) -> Position:
        return self.heads.get(conversation_id, FIRST)

    def latest(self, conversation_ids: Any) -> str | None:
        return max(conversation_ids, default=None)


class Harness:
    """Snapshots of the sockets of one user."""

    def __init__(self) -> None:
        self.store = UnreliableStore()
        self.sessions, self.rooms = Sessions(), SessionRooms()
        self.streams: Any = Heads()
        self.snapshots = SessionSnapshots(
            self.store, self.sessions, self.rooms, (CRM, GROUPS), self.streams, self.streams
        )
        self.pids: dict[Session, str] = {}

    def session(self, sid: str = "one") -> Session:
        session = Session(sid, "/chat", "ann")
        self.sessions.add(session)
        self.rooms.add(session, (CRM, GROUPS))
        self.rooms.set_entered(session)
        self.snapshots.track(session)
        self.pids[session] = self.snapshots.private_id(session) or ""
        return session

    def join(self, session: Session, conversation_id: str) -> None:
        self.rooms.enter(session, [rooms.joined(conversation_id)])
        self.snapshots.room_changed(session, rooms.joined(conversation_id))

    def leave(self, session: Session, conversation_id: str) -> None:
        self.rooms.leave(session, rooms.joined(conversation_id))
        self.snapshots.room_changed(session, rooms.joined(conversation_id))

    async def stores(
        self, session: Session, received: Mapping[str, ReceivedRange] | None, last: str = ""
    ) -> None:
        """Wait until this snapshot of a session is stored; None: no snapshot."""
        names = tuple(protocol.name for protocol in self.rooms.protocols(session))
        expected = None if received is None else SessionSnapshot("ann", names, received, last)

        async def is_stored() -> bool:
            return from_fields(await self.store.find(self.pids[session])) == expected

        await eventually(is_stored, 5)


@pytest.fixture
def harness() -> Harness:
    return Harness()


async def test_a_socket_that_did_nothing_has_no_snapshot(harness: Harness) -> None:
    session = harness.session()
    harness.snapshots.session_changed(session)
    harness.snapshots.room_changed(session, "conversation:a")
    harness.snapshots.end(session, recoverable=True)
    await harness.snapshots.stop()

    assert harness.store.batches == 0


async def test_a_snapshot_holds_joined_rooms_with_their_positions(harness: Harness) -> None:
    session = harness.session()
    harness.join(session, "a")
    harness.streams.heads["b"] = SECOND
    harness.join(session, "b")

    await harness.stores(session, {"a": ReceivedRange(FIRST), "b": ReceivedRange(SECOND)})
    assert harness.store.batches == 1


async def test_a_waiter_continues_when_the_snapshot_is_written(harness: Harness) -> None:
    session = harness.session()
    harness.join(session, "a")
    await harness.snapshots.written(session)

    assert from_fields(await harness.store.find(harness.pids[session])) is not None


async def test_a_waiter_does_not_wait_for_redis_to_return(harness: Harness) -> None:
    session = harness.session()
    harness.store.away = True
    harness.join(session, "a")

    async with asyncio.timeout(5):
        await harness.snapshots.written(session)


async def test_leaving_a_room_removes_it_and_moves_the_other_positions_to_their_heads(
    harness: Harness,
) -> None:
    session = harness.session()
    harness.join(session, "a")
    harness.join(session, "b")
    await harness.stores(session, {"a": ReceivedRange(FIRST), "b": ReceivedRange(FIRST)})
    harness.streams.heads["b"] = SECOND
    harness.leave(session, "a")

    await harness.stores(session, {"b": ReceivedRange(SECOND)})


async def test_narrowed_protocols_are_written(harness: Harness) -> None:
    session = harness.session()
    harness.rooms.narrow(session, (GROUPS,))
    harness.snapshots.session_changed(session)

    await harness.stores(session, {})


async def test_the_final_snapshot_holds_what_was_written_to_the_socket(harness: Harness) -> None:
    session = harness.session()
    harness.join(session, "a")
    harness.streams.heads["a"] = SECOND
    harness.snapshots.end(session, recoverable=True)

    await harness.stores(session, {"a": ReceivedRange(FIRST, SECOND)}, last=offset_of("a", SECOND))


async def test_a_stopping_node_writes_the_final_snapshots_of_all_sockets(harness: Harness) -> None:
    session = harness.session()
    harness.join(session, "a")
    await harness.snapshots.stop()

    await harness.stores(session, {"a": ReceivedRange(FIRST, FIRST)}, last=offset_of("a", FIRST))


async def test_an_unrecoverable_socket_is_deleted_and_never_written_again(harness: Harness) -> None:
    session = harness.session()
    harness.join(session, "a")
    await harness.stores(session, {"a": ReceivedRange(FIRST)})
    harness.snapshots.end(session, recoverable=False)
    await harness.stores(session, None)
    harness.snapshots.end(session, recoverable=True)
    await harness.snapshots.renew()
    await harness.snapshots.stop()

    await harness.stores(session, None)


async def test_a_failed_write_is_repeated_with_the_next_renewal(harness: Harness) -> None:
    session = harness.session()
    harness.store.away = True
    harness.join(session, "a")
    await eventually(lambda: harness.store.batches == 1, 5)
    harness.store.away = False
    await harness.snapshots.renew()

    await harness.stores(session, {"a": ReceivedRange(FIRST)})


async def test_a_snapshot_that_redis_lost_is_written_anew(harness: Harness) -> None:
    session = harness.session()
    harness.join(session, "a")
    await harness.stores(session, {"a": ReceivedRange(FIRST)})
    harness.store.lose_all()
    await harness.snapshots.renew()

    await harness.stores(session, {"a": ReceivedRange(FIRST)})
