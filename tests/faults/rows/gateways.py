"""Gateways that are killed, told to stop, cut off, or live in another hour."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from clients.chat import eventually
from clients.crowd import Voice
from clients.proxy import Proxy
from clients.returning import Returning
from faults.traffic import Traffic
from faults.trial import Trial, do

BACK_SECONDS = 2.0
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


async def killed(trial: Trial) -> None:
    async with trial.traffic() as traffic:
        passer, watcher = await traffic.visit(trial.stack.gateway_urls[0]), traffic.ears[-1]
        await eventually(lambda: watcher.status.get(passer.user_id) == "online")
        theirs = traffic.on("g1")
        trial.stack.signal("gateway-1", signal.SIGKILL)
        await trial.recovers(traffic)
        expect_short_absences(trial, theirs)
        within = LEASE_SECONDS + GRACE_SECONDS
        await trial.sees("its user is offline", lambda: watcher.status[passer.user_id] == "offline", within)
        await expect_online(trial, traffic, watcher)


async def expect_online(trial: Trial, traffic: Traffic, watcher: Voice) -> None:
    """Those who are, and nobody else, to one who asks."""
    right = {client.user_id for client in traffic.clients}

    async def are_right() -> bool:
        answer = await watcher.ask("getOnlineUsers", {})
        return bool(answer["success"]) and set(answer["users"]) == right

    await trial.sees("presence is right", are_right, ONLINE_SECONDS)


async def told_to_stop(trial: Trial) -> None:
    async with trial.traffic() as traffic:
        theirs = traffic.on("g1")
        await trial.terminates("gateway-1", EXIT_SECONDS)
        await trial.recovers(traffic)
        expect_short_absences(trial, theirs)
        await expect_online(trial, traffic, traffic.ears[-1])


def expect_short_absences(trial: Trial, speakers: Sequence[Returning]) -> None:
    """They all had to come back, and caught up quickly."""
    trial.expect(all(speaker.losses for speaker in speakers), "not all clients were sent elsewhere")
    away = max((absence for speaker in speakers for absence in speaker.absences), default=0.0)
    trial.say(f"{len(speakers)} clients were away for up to {away:.1f} s")
    trial.expect(away < BACK_SECONDS, f"clients were away for {away:.1f} s, more than {BACK_SECONDS:g}")


async def cut_off_from_redis(trial: Trial) -> None:
    """Nothing passes, and no connection is closed."""

    async def first_is_ready() -> bool:
        return (await trial.are_ready())[0]

    async def first_is_not() -> bool:
        return not await first_is_ready()

    with Proxy(trial.stack.redis_url) as proxy:
        async with trial.told({"gateway-1": {"REDIS_URL": proxy.url}}), trial.traffic() as traffic:
            proxy.cut()
            try:
                noticed = await trial.sees("gateway-1 is not ready", first_is_not, NOT_READY_SECONDS)
                await asyncio.sleep(CUT_SECONDS - noticed)
            finally:
                proxy.mend()
            await trial.recovers(traffic)
            await trial.sees("gateway-1 is ready", first_is_ready, NOT_READY_SECONDS)


async def rolling_restart(trial: Trial) -> None:
    """One after the other, each as soon as the one before is ready again."""
    parts = ["gateway-1", "worker-1", "gateway-2", "worker-2"]
    async with trial.traffic() as traffic:
        for name in parts:
            limit = EXIT_SECONDS if name.startswith("gateway") else WORKER_EXIT_SECONDS
            await trial.terminates(name, limit)
            await trial.sees(f"{name} is ready", lambda: is_ready(trial, name), READY_SECONDS)  # noqa: B023
            await trial.recovers(traffic)
        for name in ["redis", "rabbitmq", "mongodb", "nginx"]:
            await do(trial.stack.stop, name)
            await do(trial.stack.start, name)
            await trial.recovers(traffic)


async def is_ready(trial: Trial, name: str) -> bool:
    parts = await do(trial.stack.status)
    return any(part.name == name and part.ready for part in parts)


async def an_hour_apart(trial: Trial) -> None:
    """Half an hour fast here and half an hour slow there, so that tokens are valid on both."""
    fast, slow = moved(HALF_AN_HOUR), moved(-HALF_AN_HOUR)
    clocks = {"gateway-1": fast, "gateway-2": slow, "worker-1": slow, "worker-2": fast}
    async with trial.told(clocks), trial.traffic() as traffic:
        await traffic.goes_on(300)
        await trial.recovers(traffic)
        await assert_apart(trial, traffic)


async def assert_apart(trial: Trial, traffic: Traffic) -> None:
    """Whether the clocks are, to those who stamp the messages."""
    found = trial.database.messages.find({"conversationId": {"$in": traffic.groups}}, {"createdAt": 1})
    times = [message["createdAt"] async for message in found]
    apart = (max(times) - min(times)).total_seconds()
    trial.say(f"messages were stamped up to {apart / 60:.0f} minutes apart")
    assert apart > 3_500, "the clocks were not an hour apart"


def moved(seconds: float) -> dict[str, str]:
    """The settings that move a service's clock, but not what it measures durations with."""
    return {"PYTHONPATH": str(CLOCK), "CLOCK_OFFSET": str(seconds)}
