"""Records, events and documents that something else than this version has written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from clients.broker import Exchange
from clients.chat import Socket, eventually
from clients.newer import seal_newer
from faults.fault_run import FaultRun
from faults.rows.held import MARGIN, MINUTE, calm_traffic
from faults.traffic import SPEAKERS
from parley.shared import rooms
from parley.shared.documents import CONVERSATIONS, MESSAGES, SEARCH_BLOCKS
from parley.shared.search_index import INDEXED


async def index_locked(run: FaultRun) -> None:
    """Hold the search index's blocks in a transaction, which their other writers wait for."""
    client = run.database.client
    await client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=600)
    async with calm_traffic(run) as traffic:
        await eventually(lambda: run.database[SEARCH_BLOCKS].count_documents({}), 30)
        async with await client.start_session() as session:
            session.start_transaction()
            await run.database[SEARCH_BLOCKS].update_many({}, {"$set": {"held": 1}}, session=session)
            await asyncio.sleep(2 * MINUTE + 2 * MARGIN)
            await session.abort_transaction()
        await run.wait_for_recovery(traffic)


async def message_not_indexable(run: FaultRun) -> None:
    """Break a stored message, and have its conversation indexed anew."""
    async with calm_traffic(run) as traffic, _broken_message(run) as (group, socket):
        await run.database[CONVERSATIONS].update_one({"_id": group}, {"$unset": {INDEXED: 1}})
        await socket.send(group, "index me")
        await asyncio.sleep(MARGIN)
        await run.wait_for_recovery(traffic)


async def message_not_readable(run: FaultRun) -> None:
    """Break a stored message, and read its conversation."""
    async with calm_traffic(run) as traffic, _broken_message(run) as (group, _):
        status, answer = await run.users.user("writer").rest("GET", f"/chats/conversations/{group}/messages")
        run.expect(status == 500, f"REST answered {status}: {answer}")
        await asyncio.sleep(MARGIN)
        await run.wait_for_recovery(traffic)


@asynccontextmanager
async def _broken_message(run: FaultRun) -> AsyncIterator[tuple[str, Socket]]:
    """Store a group's message with a content that is no text; give it a text again at the end."""
    (socket,) = await run.users.sockets("writer")
    group = await run.users.group(socket, "reader")
    message = await socket.send(group, "to be broken")

    async def is_indexed() -> bool:
        head = await run.database[CONVERSATIONS].find_one({"_id": group})
        return bool(head and head.get(INDEXED, {}).get("rev", 0) >= 1)

    await eventually(is_indexed, 30)
    stored = {"_id": message["_id"]}
    await run.database[MESSAGES].update_one(stored, {"$set": {"content": 5}})
    try:
        yield group, socket
    finally:
        await run.database[MESSAGES].update_one(stored, {"$set": {"content": "repaired"}})


async def newer_event(run: FaultRun) -> None:
    """Publish an event of a kind that only a newer version knows."""
    async with calm_traffic(run) as traffic, Redis.from_url(run.stack.redis_url) as redis:
        await redis.publish(rooms.channel(rooms.everyone()), seal_newer([{"type": "somethingNew"}]))
        await asyncio.sleep(MARGIN)
        await run.wait_for_recovery(traffic)


async def newer_record(run: FaultRun) -> None:
    """Publish a record of a kind that only a newer version knows."""
    async with Exchange(run.stack) as exchange, calm_traffic(run) as traffic:
        group = traffic.groups[0]
        record = {"type": "somethingNew", "conversationId": group, "userId": run.users.user(SPEAKERS[0]).id}
        await exchange.publish(group, seal_newer([record]))
        await run.wait_for("a dead letter", run.dead_letters.take, 10)
        await asyncio.sleep(MARGIN)
        await run.wait_for_recovery(traffic)
        traffic.speakers[0].failures.clear()


async def unreadable_record(run: FaultRun) -> None:
    """Publish garbage."""
    async with Exchange(run.stack) as exchange, calm_traffic(run) as traffic:
        await exchange.publish(traffic.groups[0], b"\xc1garbage")
        await asyncio.sleep(MARGIN)
        await run.wait_for("a dead letter", run.dead_letters.take, 10)
        await run.wait_for_recovery(traffic)
