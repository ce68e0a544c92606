"""Gateways that are killed, stopped, cut off, or have a wrong clock."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from clients.chat import eventually
from clients.proxy import Proxy
from clients.reconnecting_client import ReconnectingClient
from clients.recording_clients import RecordingClient
from faults.fault_run import FaultRun, in_thread
from faults.traffic import Traffic

MAX_ABSENCE_SECONDS = 2.0
LEASE_SECONDS = 15.0
ONLINE_SECONDS = 5.0
GRACE_SECONDS = 2.0
EXIT_SECONDS = 15.0
WORKER_EXIT_SECONDS = 10.0
NOT_READY_SECONDS = 5.0
CUT_SECONDS = 8.0
READY_SECONDS = 20.0
HALF_AN_HOUR = 1_800.0
CLOCK = Path(__file__).parents[1] / "clock"


async def killed(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        visitor, watcher = await traffic.connect_absent(run.stack.gateway_urls[0]), traffic.listeners[-1]
        await eventually(lambda: watcher.status.get(visitor.user_id) == "online")
        speakers = traffic.speakers_on("g1")
        run.stack.signal("gateway-1", signal.SIGKILL)
        await run.wait_for_recovery(traffic)
        expect_short_absences(run, speakers)
        within = LEASE_SECONDS + GRACE_SECONDS
        await run.wait_for(
            "its user is offline", lambda: watcher.status[visitor.user_id] == "offline", within
        )
        await expect_online(run, traffic, watcher)


async def expect_online(
    run: FaultRun, traffic: Traffic, watcher: RecordingClient, *others: RecordingClient
) -> None:
    """Check that a gateway reports exactly the connected users as online."""
    right = {client.user_id for client in (*traffic.clients, *others)}

    async def is_exact() -> bool:
        answer = await watcher.call("getOnlineUsers", {})
        return bool(answer["success"]) and set(answer["users"]) == right

    await run.wait_for("presence is right", is_exact, ONLINE_SECONDS)


async def stopped(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        speakers = traffic.speakers_on("g1")
        await run.terminate("gateway-1", EXIT_SECONDS)
        await run.wait_for_recovery(traffic)
        expect_short_absences(run, speakers)
        await expect_online(run, traffic, traffic.listeners[-1])


def expect_short_absences(run: FaultRun, speakers: Sequence[ReconnectingClient]) -> None:
    """Check that all these clients had to reconnect, and caught up quickly."""
    run.expect(all(speaker.disconnects for speaker in speakers), "not all clients were sent elsewhere")
    away = max((absence for speaker in speakers for absence in speaker.offline_seconds), default=0.0)
    run.report(f"{len(speakers)} clients were away for up to {away:.1f} s")
    run.expect(
        away < MAX_ABSENCE_SECONDS, f"clients were away for {away:.1f} s, more than {MAX_ABSENCE_SECONDS:g}"
    )


async def cut_off_from_redis(run: FaultRun) -> None:
    """Block all traffic between a gateway and Redis, without closing a connection."""

    async def first_is_ready() -> bool:
        return (await run.gateways_ready())[0]

    async def first_is_not() -> bool:
        return not await first_is_ready()

    with Proxy(run.stack.redis_url) as proxy:
        async with run.with_settings({"gateway-1": {"REDIS_URL": proxy.url}}), run.traffic() as traffic:
            proxy.block()
            try:
                noticed = await run.wait_for("gateway-1 is not ready", first_is_not, NOT_READY_SECONDS)
                await asyncio.sleep(CUT_SECONDS - noticed)
            finally:
                proxy.unblock()
            await run.wait_for_recovery(traffic)
            await run.wait_for("gateway-1 is ready", first_is_ready, NOT_READY_SECONDS)


async def rolling_restart(run: FaultRun) -> None:
    """Restart one part after the other, each as soon as the one before is ready again."""
    parts = ["gateway-1", "worker-1", "gateway-2", "worker-2"]
    async with run.traffic() as traffic:
        for name in parts:
            limit = EXIT_SECONDS if name.startswith("gateway") else WORKER_EXIT_SECONDS
            await run.terminate(name, limit)
            await run.wait_for(f"{name} is ready", lambda: is_ready(run, name), READY_SECONDS)  # noqa: B023
            await run.wait_for_recovery(traffic)
        for name in ["redis", "rabbitmq", "mongodb", "nginx"]:
            await in_thread(run.stack.stop, name)
            await in_thread(run.stack.start, name)
            await run.wait_for_recovery(traffic)


async def is_ready(run: FaultRun, name: str) -> bool:
    parts = await in_thread(run.stack.status)
    return any(part.name == name and part.ready for part in parts)


async def an_hour_apart(run: FaultRun) -> None:
    """Set clocks half an hour fast and half an hour slow: tokens stay valid on both."""
    fast, slow = clock_settings(HALF_AN_HOUR), clock_settings(-HALF_AN_HOUR)
    clocks = {"gateway-1": fast, "gateway-2": slow, "worker-1": slow, "worker-2": fast}
    async with run.with_settings(clocks), run.traffic() as traffic:
        await traffic.wait_for_accepted(300)
        await run.wait_for_recovery(traffic)
        await assert_clocks_apart(run, traffic)


async def assert_clocks_apart(run: FaultRun, traffic: Traffic) -> None:
    """Check that the gateways stamped messages with clocks that are an hour apart."""
    found = run.database.messages.find({"conversationId": {"$in": traffic.groups}}, {"createdAt": 1})
    times = [message["createdAt"] async for message in found]
    apart = (max(times) - min(times)).total_seconds()
    run.report(f"messages were stamped up to {apart / 60:.0f} minutes apart")
    assert apart > 3_500, "the clocks were not an hour apart"


def clock_settings(seconds: float) -> dict[str, str]:
    """Return settings that move a service's clock, but not its clock for durations."""
    return {"PYTHONPATH": str(CLOCK), "CLOCK_OFFSET": str(seconds)}
