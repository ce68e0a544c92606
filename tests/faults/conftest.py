"""Fixtures of the fault tests: a stack that is repaired after every test, clients, workers' shares."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from clients.chat import ChatUsers
from clients.recording_clients import RecordingClient, RecordingClients
from clients.stacks import SETTINGS
from clients.workers import DeadLetters, PartitionShares
from parley.stack import Stack

SENDERS = [f"sender-{number}" for number in range(6)]


@pytest.fixture(scope="session")
def _breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("fragile"), gateways=2, workers=2, settings=SETTINGS) as stack:
        yield stack


@pytest.fixture
def fragile(_breakable: Stack) -> Iterator[Stack]:
    """Two gateways and two workers with their own servers, ready before and after each test."""
    yield _breakable
    _breakable.up()
    if (len(_breakable.gateway_urls), len(_breakable.worker_urls)) != (2, 2):
        _breakable.scale(gateways=2, workers=2)


@pytest.fixture
def stack(fragile: Stack) -> Stack:
    """The stack of the fixtures `users` and `database` in this folder."""
    return fragile


@pytest.fixture
async def clients(users: ChatUsers) -> AsyncIterator[RecordingClients]:
    """The clients of the test."""
    async with RecordingClients(users) as clients:
        yield clients


@pytest.fixture
async def group(clients: RecordingClients) -> str:
    """A group of six senders and one listener."""
    return await clients.create_group(*SENDERS, "idler")


@pytest.fixture
def groups(group: str) -> list[str]:
    """The groups that the listeners join, and that the senders are members of."""
    return [group]


@pytest.fixture
async def senders(fragile: Stack, clients: RecordingClients, groups: list[str]) -> list[RecordingClient]:
    """A client of each sender, spread over both gateways."""
    return await clients.connect_all(SENDERS, fragile.gateway_urls)


@pytest.fixture
async def listeners(fragile: Stack, clients: RecordingClients, groups: list[str]) -> list[RecordingClient]:
    """Clients of the listener in the groups: on each gateway, one for each transport."""
    listeners = await clients.connect_listeners("idler", fragile.gateway_urls)
    for listener in listeners:
        await listener.join_all(groups)
    return listeners


@pytest.fixture
async def shares(fragile: Stack) -> AsyncIterator[PartitionShares]:
    """The workers' shares of the partitions, once they are equal."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.5)) as http:
        shares = PartitionShares(fragile, http)
        await shares.wait_until(4, 4)
        yield shares


@pytest.fixture
async def dead_letters(fragile: Stack) -> DeadLetters:
    """The dead letters of the test; earlier ones are removed."""
    letters = DeadLetters(fragile)
    await letters.take()
    return letters
