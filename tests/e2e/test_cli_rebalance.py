"""`parley rebalance` moves sockets to a gateway that was added, and nobody misses a message."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.chat import ChatUsers, eventually
from clients.database import open_database
from clients.invariants import assert_numbered, stored_messages
from clients.load_generator import LoadGenerator
from clients.operators import Operator
from clients.reconnecting_client import ReconnectingClient
from clients.recording_clients import RecordingClients
from parley.shared.mongo import Database
from parley.stack import Stack

pytestmark = pytest.mark.slow  # A stack of its own is scaled out.

SPEAKERS = 4
CLIENTS = 30


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Stack]:
    """One gateway and one worker, at first."""
    with Stack(tmp_path / "stack", gateways=1, workers=1, settings={"RATE_LIMITS": "off"}) as stack:
        yield stack


@pytest.fixture
async def users(small: Stack) -> AsyncIterator[ChatUsers]:
    users = ChatUsers(small.url, small.jwt_secret)
    yield users
    await users.close()


@pytest.fixture
async def database(small: Stack) -> AsyncIterator[Database]:
    async with open_database(small.mongo_url) as database:
        yield database


async def displays(database: Database, group: str, clients: list[ReconnectingClient], count: int) -> bool:
    """Return whether so many messages are stored, and each client displays them all."""
    messages = await stored_messages(database, group)
    assert_numbered(messages)
    stored = {message["seq"]: message["content"] for message in messages}
    return len(stored) == count and all(client.displayed[group] == stored for client in clients)


def nodes(clients: list[ReconnectingClient]) -> Counter[str]:
    return Counter(client.node for client in clients)


async def test_sockets_move_to_a_new_gateway_while_messages_flow(
    small: Stack, users: ChatUsers, database: Database, tmp_path: Path
) -> None:
    names = [f"client-{number}" for number in range(CLIENTS)]
    async with RecordingClients(users) as opened:
        group = await opened.create_group(*names)
        clients = [await opened.add(ReconnectingClient(users.user(name), small.url)) for name in names]
        for client in clients:
            await client.join(group)
        await asyncio.to_thread(small.scale, gateways=2)
        assert nodes(clients) == {"g1": CLIENTS}
        operator = Operator(small, tmp_path)
        async with LoadGenerator(clients[:SPEAKERS], [group], pause=0.02) as load:
            await load.wait_for_accepted(20)
            answer = await operator.run("rebalance", "--json")
            await load.wait_for_accepted(20)
        assert answer.code == 0, answer
        moved = answer.json
        assert moved["before"] == {"g1": CLIENTS, "g2": 0}
        await eventually(lambda: nodes(clients) == moved["after"])
        assert max(moved["after"].values()) <= 1.1 * CLIENTS / 2 + 1
        assert sum(client.disconnects for client in clients) == moved["closed"] < 2 * CLIENTS
        await eventually(lambda: displays(database, group, clients, len(load.accepted)), 30)
        again = await operator.run("rebalance")
        assert (again.code, "0 sockets were closed" in again.out) == (0, True), again
