"""Workers that are killed, frozen or stopped, and records that are repeated or broken."""

import signal

import msgspec

from clients.broker import Exchange
from clients.chat import eventually
from clients.invariants import how_many
from clients.poison import send_unstorable
from faults.fault_run import FaultRun
from faults.traffic import PAUSE_SECONDS, SPEAKERS

STOP_SECONDS = 10.0
REPLACED_SECONDS = 20.0
"""Seconds after which RabbitMQ has given a frozen worker up: two to three heartbeats of 4 s."""

GARBAGE = b"\xc1garbage"
WORKERS = ("worker-1", "worker-2")


async def killed(run: FaultRun) -> None:
    """Kill each worker at full load, then both by turns in short succession."""
    async with run.traffic() as traffic:
        for name in WORKERS:
            traffic.load.pause = 0.0
            await traffic.wait_for_accepted(400)
            run.stack.signal(name, signal.SIGKILL)
            traffic.load.pause = PAUSE_SECONDS
            stored = await how_many(run.database, *traffic.groups)
            run.report(f"{name} killed, {len(traffic.accepted) - stored} of {stored} not stored yet")
            await run.wait_for_recovery(traffic)
        for name in WORKERS * 2:
            await eventually(lambda: runs(run, name))  # noqa: B023 - called at once
            run.stack.signal(name, signal.SIGKILL)
            await traffic.wait_for_accepted(100)
        await run.wait_for_recovery(traffic)


def runs(run: FaultRun, name: str) -> bool:
    return any(part.name == name and part.pid for part in run.stack.status())


async def stopped(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        for name in WORKERS:
            await run.terminate(name, STOP_SECONDS)
            await run.wait_for_recovery(traffic)
            await run.shares.wait_until(4, 4)


async def frozen(run: FaultRun) -> None:
    """Freeze a worker past its heartbeats: the other takes over, and the first wakes with stale batches."""

    async def all_taken() -> bool:
        return await run.shares.of(2) == 8

    async with run.traffic() as traffic:
        traffic.load.pause = 0.0
        await traffic.wait_for_accepted(300)
        run.stack.signal("worker-1", signal.SIGSTOP)
        try:
            traffic.load.pause = PAUSE_SECONDS
            await run.wait_for("replaced", all_taken, REPLACED_SECONDS)
            await run.wait_for_recovery(traffic)
        finally:
            run.stack.signal("worker-1", signal.SIGCONT)
        await run.shares.wait_until(4, 4)
        await run.wait_for_recovery(traffic)


async def delivered_twice(run: FaultRun) -> None:
    """Publish all records of a while again, unchanged."""
    async with Exchange(run.stack) as exchange, run.traffic() as traffic:
        copies = await exchange.record()
        await traffic.wait_for_accepted(300)
        republished = await exchange.republish(copies)
        run.report(f"{republished} AMQP messages published again")
        await run.wait_for_recovery(traffic)
        assert republished > 0, "nothing was copied"


async def poisoned(run: FaultRun) -> None:
    """Publish garbage, a broken record and one that no database can store, between good ones."""
    async with Exchange(run.stack) as exchange, run.traffic() as traffic:
        sender = run.users.user(SPEAKERS[0])
        broken = msgspec.msgpack.encode([{"type": "new", "id": 7}])
        letters = []
        for group in traffic.groups[:3]:
            await exchange.publish(group, GARBAGE, broken)
            failing = await send_unstorable(run.stack, sender, group)
            await traffic.wait_for_accepted(30)
            await eventually(lambda failing=failing: failed(traffic.speakers[0].failures, failing))  # type: ignore[misc]
        await run.wait_for_recovery(traffic)

        async def all_dead_lettered() -> bool:
            letters.extend(await run.dead_letters.take())
            return len(letters) >= 9

        await run.wait_for("9 dead letters", all_dead_lettered, 5)
        reasons = [str(letter.headers["x-reason"]) for letter in letters]
        for word in ("MessagePack", "OverflowError", "$.id"):
            run.expect(sum(word in reason for reason in reasons) == 3, f"dead letters because of {reasons}")
        traffic.speakers[0].failures.clear()


def failed(failures: list[tuple[str, object]], message_id: str) -> bool:
    return any(event == "messageFailed" and about["messageId"] == message_id for event, about in failures)  # type: ignore[index]
