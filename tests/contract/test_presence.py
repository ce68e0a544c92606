"""Presence in Redis: leases of sockets that arrive together, and changes in one publication."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from clients.chat import eventually
from fakes.memory_revocations import RecordingEventPublisher
from parley.gateway.adapters.redis.presence import RedisPresence
from parley.gateway.adapters.redis.presence_store import PresenceStore
from parley.gateway.core.errors import Unavailable
from parley.shared import rooms
from parley.shared.events import PresenceChanged
from parley.shared.presence import buckets
from parley.shared.redis import connect, open_commands


class Counted:
    """A presence, and what it publishes."""

    def __init__(self, url: str) -> None:
        self.published = RecordingEventPublisher()
        self.presence = RedisPresence(PresenceStore(open_commands(url), buckets(url)), self.published)

    def changes(self, user_id: str) -> list[bool]:
        events = [event for room, event in self.published.events if room == rooms.everyone()]
        return [e.online for e in events if isinstance(e, PresenceChanged) and e.user_id == user_id]


@pytest.fixture
async def here(redis_url: str) -> AsyncIterator[Counted]:
    counted = Counted(redis_url)
    yield counted
    await counted.presence.stop()


def users(count: int) -> list[str]:
    return [f"{uuid.uuid4()}-{n}" for n in range(count)]


async def test_sockets_that_arrive_together_see_each_other(here: Counted) -> None:
    ids = users(250)
    online = await asyncio.gather(*(here.presence.add_socket(u, f"{u}.1", ids) for u in ids))

    assert set(online[-1]) == set(ids)
    assert len(here.presence) == 250
    await eventually(lambda: all(here.changes(u) == [True] for u in ids))


async def test_sockets_that_leave_together_are_offline_after_the_grace(here: Counted) -> None:
    here.presence.start()
    ids = users(150)
    await asyncio.gather(*(here.presence.add_socket(u, "1", []) for u in ids))
    await asyncio.gather(*(here.presence.remove_socket(u, "1") for u in ids))

    assert len(here.presence) == 0
    assert set(await here.presence.online(ids)) == set(ids)

    async def are_offline() -> bool:
        return not await here.presence.online(ids)

    # The gateways of the stack remove them, too: any of them may publish that.
    await eventually(are_offline)


async def test_a_second_socket_announces_nothing(here: Counted) -> None:
    (ann,) = users(1)
    await here.presence.add_socket(ann, "1", [])
    await eventually(lambda: here.changes(ann))
    assert await here.presence.add_socket(ann, "2", [ann]) == [ann]
    (later,) = users(1)
    await here.presence.add_socket(later, "1", [])
    await eventually(lambda: here.changes(later))
    assert here.changes(ann) == [True]


async def test_contacts_who_are_offline_are_left_out(here: Counted) -> None:
    ann, ben, cem = users(3)
    await here.presence.add_socket(ann, "1", [])
    assert await here.presence.add_socket(ben, "1", [cem, ann]) == [ann]
    await here.presence.remove_socket(ann, "1")
    # Within the grace a user who left is still online.
    assert await here.presence.add_socket(cem, "1", [ann, ben]) == [ann, ben]


async def test_a_redis_that_has_lost_the_script_gets_it_again(here: Counted, redis_url: str) -> None:
    ann, ben = users(2)
    await here.presence.add_socket(ann, "1", [])
    async with connect(redis_url) as redis:
        await redis.script_flush()
    assert await here.presence.add_socket(ben, "1", [ann, ben]) == [ann, ben]
    await eventually(lambda: here.changes(ben) == [True])


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_all_who_wait_learn_that_redis_is_away(scheme: str) -> None:
    away = Counted(f"{scheme}://127.0.0.1:9/0")
    waiting = [away.presence.add_socket(user, "1", []) for user in users(3)]
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in errors] == [Unavailable] * 3
    assert len(away.presence) == 0
    await away.presence.stop()
