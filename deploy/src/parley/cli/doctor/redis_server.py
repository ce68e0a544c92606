"""The checks of Redis, each by what the services themselves do; the user needs no right beyond theirs."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from redis.exceptions import OutOfMemoryError

from parley.cli.doctor.finding import Finding, Findings
from parley.cli.faults import FAULTS, is_denied, sentence
from parley.shared import redis
from parley.shared.rooms import CHANNEL_PREFIX
from parley.shared.settings import SettingsError

LEAST_VERSION = (6, 2)
"""ZMSCORE came with it."""
ANSWER_SECONDS = 2.0
SCRIPT = "return redis.call('TIME')"

findings = Findings("redis")


async def check(url: str) -> AsyncIterator[Finding]:
    """Yield the findings; stop where the server cannot be used at all."""
    try:
        client: Any = redis.connect(url, connections=4)
    except SettingsError as error:
        yield findings.error("reachable", str(error))
        return
    try:
        async for finding in _findings(client):
            yield finding
    except OutOfMemoryError:
        yield findings.error(
            "memory", "It is full and refuses writes: raise its maxmemory, or look for what fills it."
        )
    except FAULTS as error:
        yield findings.error("reachable", sentence(error, "Redis", "REDIS_URL"))
    finally:
        await client.aclose()


async def _findings(client: Any) -> AsyncIterator[Finding]:
    await client.ping()
    yield findings.ok("reachable", "It answers.")
    yield await _version(client)
    yield findings.clock(await _clock(client))
    yield await _write(client)
    yield await _publish(client)


async def _version(client: Any) -> Finding:
    # INFO is one of the dangerous commands, which the services' user may not have.
    answer = await client.execute_command("HELLO")
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=False))
    version = _text(pairs.get(b"version", pairs.get("version", "?")))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < LEAST_VERSION:
        return findings.error("version", f"Its version is {version}: 6.2 or newer is needed.")
    return findings.ok("version", f"Its version is {version}.")


async def _clock(client: Any) -> float:
    seconds, microseconds = await client.eval(SCRIPT, 0)
    return int(seconds) + int(microseconds) / 1e6


async def _write(client: Any) -> Finding:
    key = f"{CHANNEL_PREFIX}doctor:{uuid.uuid4().hex}"
    started = monotonic()
    try:
        await client.set(key, "1", px=5_000)
        await client.delete(key)
    except FAULTS as error:
        if not is_denied(error):
            raise
        return findings.error("rights", sentence(error, "Redis", "REDIS_URL"))
    return findings.speed(monotonic() - started, "A write")


async def _publish(client: Any) -> Finding:
    channel = f"{CHANNEL_PREFIX}doctor:{uuid.uuid4().hex}"
    subscriber = client.pubsub(ignore_subscribe_messages=True)
    try:
        await subscriber.subscribe(channel)
        await _confirmed(subscriber)
        await client.publish(channel, "1")
        arrived = await _arrives(subscriber)
    except FAULTS as error:
        if not is_denied(error):
            raise
        return findings.error("rights", sentence(error, "Redis", "REDIS_URL"))
    finally:
        await subscriber.aclose()
    if not arrived:
        return findings.error(
            "pubsub", "It delivers nothing to a subscriber: restart it; the gateways repair what was missed."
        )
    return findings.ok("pubsub", "It delivers to subscribers.")


async def _confirmed(subscriber: Any) -> None:
    await asyncio.wait_for(subscriber.get_message(timeout=ANSWER_SECONDS), ANSWER_SECONDS)


async def _arrives(subscriber: Any) -> bool:
    deadline = monotonic() + ANSWER_SECONDS
    while (left := deadline - monotonic()) > 0:
        if await subscriber.get_message(timeout=left) is not None:
            return True
    return False


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
