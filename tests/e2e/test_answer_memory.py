"""Clients that ask for much and read nothing, or return all at once, cost a gateway little memory."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from clients.chat import ChatUsers, Socket
from clients.stalled_client import StalledClient
from parley.stack import Stack

MIB = 1 << 20
SOCKETS, SYNCS = 24, 20
RETURNING = 30
LARGE = "\u6f22" * 7_900
SENT = 100
MEMORY_MIB = 100


@pytest.fixture
async def alice(users: ChatUsers) -> Socket:
    return await users.user("alice").socket()


@pytest.fixture
async def group(alice: Socket, users: ChatUsers) -> str:
    """A conversation of Alice and Bob with 2.4 MB of messages."""
    group = await users.group(alice, "bob")
    await send_large(alice, group)
    return group


async def send_large(socket: Socket, group: str) -> None:
    for number in range(SENT):
        await socket.send(group, f"{number}{LARGE}", tempId=str(number))
    await socket.wait_for("messageSent", tempId=str(SENT - 1), deadline=30)


async def memory(url: str) -> float:
    """Return a gateway's resident memory, in MiB."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        found = re.search(r"^process_resident_memory_bytes (\S+)", await answer.text(), re.M)
    assert found is not None
    return float(found[1]) / MIB


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[Callable[[], float]]:
    """Give the growth of a gateway's memory at its highest, in MiB."""
    before = highest = await memory(url)

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, await memory(url))
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    try:
        yield lambda: highest - before
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_clients_that_sync_and_do_not_read_cost_little_memory(
    users: ChatUsers, group: str, stack: Stack
) -> None:
    url = stack.gateway_urls[0]
    stalled = [await asyncio.to_thread(StalledClient, url, users.user("bob")) for _ in range(SOCKETS)]
    honest = await users.user("alice").socket(url=url)
    async with watched(url) as growth:
        for client in stalled:
            for number in range(SYNCS):
                client.ask(number, "sync", {"conversations": {group: 0}})
        contents = await synced(honest, group)
        assert growth() < MEMORY_MIB
    assert len(contents) == SENT
    for client in stalled:
        client.close()


async def synced(socket: Socket, group: str) -> list[str]:
    """Return the contents of a conversation, asked for part by part."""
    contents: list[str] = []
    rev, more = 0, True
    while more:
        changes = (await socket.call_ok("sync", {"conversations": {group: rev}}))["conversations"][group]
        contents += [message["content"] for message in changes["messages"]]
        rev, more = changes["rev"], changes.get("more", False)
    return contents


async def test_clients_that_return_at_once_and_do_not_read_cost_little_memory(
    alice: Socket, users: ChatUsers, stack: Stack
) -> None:
    url, group = stack.gateway_urls[0], await users.group(alice, "bob", "carol")
    lost = [await asyncio.to_thread(StalledClient, url, users.user("bob")) for _ in range(RETURNING)]
    for client in lost:
        await asyncio.to_thread(client.join, group)
        client.close()
    await send_large(alice, group)
    honest = await users.user("carol").socket(url=url)
    async with watched(url) as growth:
        returned = await asyncio.gather(
            *(asyncio.to_thread(StalledClient, url, users.user("bob"), pid=c.pid) for c in lost)
        )
        contents = await synced(honest, group)
        assert growth() < MEMORY_MIB
    assert [client.pid for client in returned] == [client.pid for client in lost]
    assert len(contents) == SENT
    for client in returned:
        client.close()
