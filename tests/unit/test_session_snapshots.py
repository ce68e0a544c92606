"""What the keeper writes of this node's sockets, and what becomes of it when that fails."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from clients.chat import eventually
from fakes.memory_snapshot_store import MemorySnapshotStore
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.session_snapshot import Change, Heard, Position, SessionSnapshot, keepsake_of
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.protocols.crm import CRM
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.shared import rooms
from parley.shared.model import Person


class Fragile(MemorySnapshotStore):
    """Counts flights, and can be away."""

    away = False
    flights = 0

    async def keep(self, changes: Sequence[Change]) -> None:
        self.flights += 1
        if self.away:
            raise Unavailable("away")
        await super().keep(changes)

    def lose_all(self) -> None:
        self._kept.clear()


class House:
    """A keeper of sockets whose streams stand where the test says."""

    def __init__(self) -> None:
        self.store = Fragile()
        self.sessions = Sessions()
        self.heads: dict[str, tuple[int, int]] = {}
        self.snapshots = SessionSnapshots(
            self.store,
            self.sessions,
            (CRM, GROUPS),
            head=lambda conversation_id: self.heads.get(conversation_id, (1, 1)),
            latest=lambda ids: max(ids, default=None),
        )

    def session(self, sid: str = "one") -> Session:
        session = Session(sid, Person(id="ann", name="Ann"), (CRM, GROUPS), set(), connected=True)
        self.sessions.add(session)
        return session

    def join(self, session: Session, conversation_id: str) -> None:
        session.places.add(rooms.joined(conversation_id))
        self.snapshots.note(session, rooms.joined(conversation_id))

    def leave(self, session: Session, conversation_id: str) -> None:
        session.places.discard(rooms.joined(conversation_id))
        self.snapshots.note(session, rooms.joined(conversation_id))

    async def keeps(self, session: Session, heard: Mapping[str, Heard] | None, last: str = "") -> None:
        """Wait until this is kept of a socket; None: nothing."""
        speaks = tuple(protocol.name for protocol in session.speaks)
        expected = None if heard is None else SessionSnapshot("ann", speaks, heard, last)

        async def is_kept() -> bool:
            return keepsake_of(await self.store.find(session.pid)) == expected

        await eventually(is_kept, 5)


@pytest.fixture
def house() -> House:
    return House()


FIRST, SECOND = Position(1, 1), Position(2, 3)


async def test_a_socket_that_did_nothing_is_not_worth_keeping(house: House) -> None:
    session = house.session()
    house.snapshots.note(session, None)
    house.snapshots.note(session, "conversation:a")
    house.snapshots.end(session)
    await house.snapshots.stop()

    assert house.store.flights == 0


async def test_joined_rooms_are_kept_from_where_they_stood(house: House) -> None:
    session = house.session()
    house.join(session, "a")
    house.heads["b"] = SECOND
    house.join(session, "b")

    await house.keeps(session, {"a": Heard(FIRST), "b": Heard(SECOND)})
    assert house.store.flights == 1


async def test_who_waits_for_it_waits_until_it_is_kept(house: House) -> None:
    session = house.session()
    house.join(session, "a")
    await house.snapshots.kept(session)

    assert keepsake_of(await house.store.find(session.pid)) is not None


async def test_who_waits_for_it_does_not_wait_for_redis_to_come_back(house: House) -> None:
    session = house.session()
    house.store.away = True
    house.join(session, "a")

    async with asyncio.timeout(5):
        await house.snapshots.kept(session)


async def test_a_room_that_is_left_is_not_kept_and_the_others_from_where_they_stand(house: House) -> None:
    session = house.session()
    house.join(session, "a")
    house.join(session, "b")
    await house.keeps(session, {"a": Heard(FIRST), "b": Heard(FIRST)})
    house.heads["b"] = SECOND
    house.leave(session, "a")

    await house.keeps(session, {"b": Heard(SECOND)})


async def test_a_decided_vocabulary_is_kept(house: House) -> None:
    session = house.session()
    session.speaks = (GROUPS,)
    house.snapshots.note(session, None)

    await house.keeps(session, {})


async def test_the_end_is_noted_with_what_was_told_until_then(house: House) -> None:
    session = house.session()
    house.join(session, "a")
    house.heads["a"] = SECOND
    house.snapshots.end(session)

    await house.keeps(session, {"a": Heard(FIRST, SECOND)}, last="a:2:3")


async def test_a_node_that_stops_notes_the_end_of_all(house: House) -> None:
    session = house.session()
    house.join(session, "a")
    await house.snapshots.stop()

    await house.keeps(session, {"a": Heard(FIRST, FIRST)}, last="a:1:1")


async def test_whoever_is_forgotten_is_not_kept_again(house: House) -> None:
    session = house.session()
    house.join(session, "a")
    await house.keeps(session, {"a": Heard(FIRST)})
    house.snapshots.forget(session)
    await house.keeps(session, None)
    house.snapshots.end(session)
    await house.snapshots.renew()
    await house.snapshots.stop()

    await house.keeps(session, None)


async def test_what_could_not_be_kept_is_kept_with_the_next_renewal(house: House) -> None:
    session = house.session()
    house.store.away = True
    house.join(session, "a")
    await eventually(lambda: house.store.flights == 1, 5)
    house.store.away = False
    await house.snapshots.renew()

    await house.keeps(session, {"a": Heard(FIRST)})


async def test_what_was_lost_with_redis_is_kept_anew(house: House) -> None:
    session = house.session()
    house.join(session, "a")
    await house.keeps(session, {"a": Heard(FIRST)})
    house.store.lose_all()
    await house.snapshots.renew()

    await house.keeps(session, {"a": Heard(FIRST)})
