"""The members of a cluster that a fault is aimed at: MongoDB's primary, Redis' master, and their hosts."""

from contextlib import suppress
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from clients.chat import eventually
from faults.fault_run import FaultRun
from parley.shared.redis import connect

STEP_DOWN_SECONDS = 6
ELECTED_SECONDS = 20.0


async def primary(run: FaultRun) -> str:
    """Return the address of the set's primary, empty if none is known."""
    with suppress(PyMongoError):
        hello = await run.database.client.admin.command("hello")
        return str(hello.get("primary", "")).partition(":")[0]
    return ""


async def redis_master_url(run: FaultRun) -> str:
    """Return the URL of the Redis that is the master now."""
    address, port = await redis_master(run)
    return f"redis://{address}:{port}/0"


async def redis_master(run: FaultRun) -> tuple[str, int]:
    """Return the address and the port of the Redis that the sentinels name."""
    async with connect(run.stack.redis_url) as redis:
        await eventually(redis.ping)
        (connection, *_) = redis.connection_pool._available_connections
        return str(connection.host), int(connection.port)


def number_of(run: FaultRun, address: str) -> int:
    """Return the number of the host with this address."""
    return next(host.number for host in run.stack.hosts if host.address == address)


async def secondaries(run: FaultRun) -> list[str]:
    """Return the addresses of the set's members besides the primary."""
    await eventually(lambda: primary(run))
    return sorted({host.address for host in run.stack.hosts} - {await primary(run)})


async def step_down(run: FaultRun) -> None:
    """Have the primary of MongoDB step down, and wait until another one is elected."""
    before = await primary(run)
    with suppress(PyMongoError):  # The primary closes its connections.
        await run.database.client.admin.command("replSetStepDown", STEP_DOWN_SECONDS, force=True)

    async def is_elected() -> bool:
        return await primary(run) not in ("", before)

    await run.wait_for("another primary is elected", is_elected, ELECTED_SECONDS)


async def move_primary(run: FaultRun, address: str) -> None:
    """Make the member of MongoDB at this address the primary.

    Raises:
        AssertionError: It was not elected.
    """
    others = [each for each in await secondaries(run) if each != address]
    if await primary(run) != address:
        for other in others:
            await _freeze(run, other, 2 * STEP_DOWN_SECONDS)
        await step_down(run)
    found = await primary(run)
    assert found == address, f"{found} was elected, not {address}"
    for other in await secondaries(run):
        await _freeze(run, other, 0)


async def _freeze(run: FaultRun, address: str, seconds: int) -> None:
    """Keep a secondary from being elected for some seconds; 0 ends that."""
    port = dict(parse_uri(run.stack.mongo_url)["nodelist"])[address]
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        address, port, directConnection=True, serverSelectionTimeoutMS=2_000, socketTimeoutMS=5_000
    )
    async with client:
        await client.admin.command("replSetFreeze", seconds)
