"""The costs of a connect: the state that a user's sockets share is read once, in few calls."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import chain

import pytest

from clients.chat import ChatUsers, User, eventually
from clients.local_gateway import LocalGateway, local_gateway, primary_round_trips, redis_round_trips
from clients.socketio_lean import LeanSocket
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.sockets import namespace
from parley.stack import Stack

READS = [
    ["find memberships", "find users"],
    ["find conversations", "find memberships", "find memberships"],
]
"""The reads of MongoDB when the first socket of a user connects, by round trip."""


@pytest.fixture
async def local(stack: Stack) -> AsyncIterator[LocalGateway]:
    async with local_gateway(stack, audit_seconds=3_600) as local:
        yield local


async def groups_of(users: ChatUsers, count: int, unread: int = 0) -> User:
    """Return a user of several groups, some with unread messages."""
    alice = await users.user("alice").socket()
    for _ in range(count):
        group = await users.group(alice, "bob", "carol")
        for _ in range(unread):
            await alice.send(group, "hello")
    bob = users.user("bob")

    async def are_counted() -> bool:
        status, page = await bob.rest("GET", "/chats/conversations")
        found = [c["unreadCount"] for c in page["conversations"]]
        return status == 200 and found == [unread] * count

    await eventually(are_counted)
    return bob


async def connect(local: LocalGateway, user: User, namespace: str) -> LeanSocket:
    return await LeanSocket.connect(local.url, namespace, {"token": user.token}, lambda *_: None)


def asked(local: LocalGateway, before: Counter[str]) -> Counter[str]:
    return local.database_calls - before


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
async def test_a_connect_asks_twice_and_the_user_s_next_ones_nothing(
    protocol: ClientProtocol, users: ChatUsers, local: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await groups_of(users, 5)
    await eventually(lambda: not local.gateway.adapters.bus.stale)
    # The first connect of a gateway reads the revoked tokens, and a user's first anywhere writes the profile.
    await (await connect(local, users.user("dan"), protocol.namespace)).close()
    before = local.database_calls.copy()
    with redis_round_trips(monkeypatch) as round_trips, primary_round_trips(monkeypatch) as reads:
        sockets = [await connect(local, bob, protocol.namespace)]
        assert reads == READS
        assert asked(local, before) == Counter(chain.from_iterable(READS))
        assert [names for names in round_trips() if "SUBSCRIBE" in names] == [["SUBSCRIBE"]]
        assert [names for names in round_trips() if "HMGET" in names] == [["EVALSHA", "HMGET", "ZMSCORE"]]

        before = local.database_calls.copy()
        round_trips().clear()
        sockets.append(await connect(local, bob, protocol.namespace))
        assert asked(local, before) == {}
        assert ["SUBSCRIBE"] not in round_trips()
        for socket in sockets:
            await socket.close()
        await eventually(lambda: not local.gateway.delivery.sessions.of_user(bob.id))
        await (await connect(local, bob, protocol.namespace)).close()
        assert asked(local, before) == {}
        assert reads == READS


async def test_a_connect_with_unread_messages_asks_once_more(
    users: ChatUsers, local: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await groups_of(users, 3, unread=2)
    await eventually(lambda: not local.gateway.adapters.bus.stale)
    await (await connect(local, users.user("dan"), "/chat")).close()
    before = local.database_calls.copy()
    counts: list[tuple[str, int]] = []

    def on_event(event: str, payload: object) -> None:
        if event == "unreadCount" and isinstance(payload, dict):
            counts.append((payload["conversationId"], payload["unread"]))

    with primary_round_trips(monkeypatch) as reads:
        socket = await LeanSocket.connect(local.url, "/chat", {"token": bob.token}, on_event)
    await eventually(lambda: len(counts) == 3)
    assert {unread for _, unread in counts} == {2}
    assert reads == [*READS, ["find messages"]]
    assert asked(local, before) == {**Counter(chain.from_iterable(READS)), "find messages": 1}
    await socket.close()


async def test_a_client_of_many_conversations_learns_at_once_that_it_is_connected(
    users: ChatUsers, local: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespace, "MANY_ROOMS", 2)
    go_live, unwritten = ConnectionManager.go_live, list[int]()

    def recorded(self: ConnectionManager, session: Session) -> bool:
        (connection,) = local.gateway.sockets.server.eio.sockets.values()
        unwritten.append(connection.unread_bytes)
        return go_live(self, session)

    monkeypatch.setattr(ConnectionManager, "go_live", recorded)
    await eventually(lambda: not local.gateway.adapters.bus.stale)
    for user in (users.user("dan"), await groups_of(users, 2)):
        socket = await connect(local, user, "/chat")
        await socket.close()
        await eventually(lambda: not local.gateway.sockets.server.eio.sockets)
    assert unwritten[0] > 0
    assert unwritten[1] == 0


async def test_a_new_user_s_profile_is_one_call_more(
    users: ChatUsers, local: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await eventually(lambda: not local.gateway.adapters.bus.stale)
    await (await connect(local, users.user("dan"), "/chat")).close()
    before = local.database_calls.copy()
    with primary_round_trips(monkeypatch) as round_trips:
        await (await connect(local, users.user("erin"), "/chat")).close()
    assert round_trips[-1] == ["insert users"]
    reads = {"find memberships": 2, "find users": 1}
    assert asked(local, before) == {**reads, "insert users": 1}


async def test_users_who_connect_at_once_share_round_trips(
    users: ChatUsers, local: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await eventually(lambda: not local.gateway.adapters.bus.stale)
    await (await connect(local, users.user("dan"), "/chat")).close()
    names = [f"user{number}" for number in range(20)]
    await users.group(await users.user("alice").socket(), *names)
    with primary_round_trips(monkeypatch) as round_trips:
        sockets = await asyncio.gather(*(connect(local, users.user(name), "/chat") for name in names))
    # Alone, each would make three: two of reads, and one for the first profile.
    assert len(round_trips) <= len(names)
    for socket in sockets:
        await socket.close()
