"""Faults of gateways, workers and clients that last until an operator acts, held until their alerts fire."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aio_pika
import aiohttp

from clients.chat import eventually
from clients.load_generator import Stopwatch
from faults.fault_run import FaultRun
from faults.rows.workers import runs
from faults.traffic import Traffic
from parley.persistence_worker.other_workers import OtherWorkers
from parley.persistence_worker.worker_registry import WorkerRegistry
from parley.shared.partitions import worker_name

MINUTE = 60.0
MARGIN = 20.0
"""Seconds beyond the time of a rule, for the scrapes that see the fault and its beginning."""
CALM_PAUSE = 0.4
GATEWAYS = ("gateway-1", "gateway-2")


@asynccontextmanager
async def calm_traffic(run: FaultRun) -> AsyncIterator[Traffic]:
    """Run the steady load with fewer messages: a fault is held for minutes."""
    async with run.traffic() as traffic:
        traffic.load.pause = CALM_PAUSE
        for speaker in traffic.speakers:
            speaker.gives_up_after = 5 * MINUTE
        yield traffic


async def nothing(run: FaultRun) -> None:
    """Break nothing."""
    async with calm_traffic(run) as traffic:
        await asyncio.sleep(MINUTE + MARGIN)
        await run.wait_for_recovery(traffic)


async def worker_stuck(run: FaultRun) -> None:
    """Freeze a worker and leave it."""
    async with calm_traffic(run) as traffic:
        run.stack.signal("worker-1", signal.SIGSTOP)
        try:
            await asyncio.sleep(MINUTE + MARGIN)
        finally:
            run.stack.signal("worker-1", signal.SIGCONT)
        await run.wait_for_recovery(traffic)


async def worker_crashing(run: FaultRun, times: int = 4) -> None:
    """Kill a worker each time that it has started."""
    async with calm_traffic(run) as traffic:
        for _ in range(times):
            await eventually(lambda: runs(run, "worker-1"))
            # Longer than a scrape's interval, else Prometheus does not see each start.
            await asyncio.sleep(7)
            run.stack.signal("worker-1", signal.SIGKILL)
        await run.wait_for_recovery(traffic)
        await asyncio.sleep(MARGIN)


async def partition_unowned(run: FaultRun) -> None:
    """Register a worker that takes no partition."""
    async with calm_traffic(run) as traffic, await aio_pika.connect(run.stack.rabbitmq_url) as connection:
        registry = WorkerRegistry(connection, OtherWorkers(worker_name(uuid4().hex)))
        await registry.open(present=True)
        watch = Stopwatch()
        while watch.seconds < MINUTE + 2 * MARGIN:
            await registry.count(present=True)
            await asyncio.sleep(1)
        await registry.leave()
        await run.wait_for_recovery(traffic)


async def gateway_full(run: FaultRun, most: int = 9) -> None:
    """Fill a gateway with sockets, and go on connecting."""
    url = f"{run.stack.gateway_urls[0]}/socket.io/?EIO=4&transport=polling"
    async with run.with_settings({"gateway-1": {"MAX_SOCKETS": str(most)}}), calm_traffic(run) as traffic:
        async with aiohttp.ClientSession() as http:
            watch = Stopwatch()
            while watch.seconds < 1.5 * MINUTE + MARGIN:
                async with http.get(url) as answer:
                    await answer.read()
                await asyncio.sleep(0.5)
        await run.wait_for_recovery(traffic)


async def gateway_throttled(run: FaultRun, frozen: float = 2.4, running: float = 0.6) -> None:
    """Give one gateway a fifth of the time, as on a machine that is too small."""
    async with calm_traffic(run) as traffic:
        watch = Stopwatch()
        while watch.seconds < 3 * MINUTE + 2 * MARGIN:
            run.stack.signal("gateway-1", signal.SIGSTOP)
            await asyncio.sleep(frozen)
            run.stack.signal("gateway-1", signal.SIGCONT)
            await asyncio.sleep(running)
        await run.wait_for_recovery(traffic)


async def client_floods(run: FaultRun) -> None:
    """Have a client read far more often than its rate allows; the burst is enough for the run's own reads."""
    limited = {name: {"RATE_LIMITS": "on", "RATE_READS": "1:30"} for name in GATEWAYS}
    async with run.with_settings(limited), calm_traffic(run) as traffic:
        flooder = run.users.user("flooder")
        watch = Stopwatch()
        while watch.seconds < MINUTE + 2 * MARGIN:
            await flooder.rest("GET", "/chats/conversations")
            await asyncio.sleep(0.1)
        await run.wait_for_recovery(traffic)
