"""The checks of Redis, each by what the services themselves do; the user needs no right beyond theirs."""

import uuid
from collections.abc import AsyncIterator
from itertools import count
from time import monotonic
from typing import Any

from redis.exceptions import OutOfMemoryError

from parley.cli.doctor.finding import Finding, Findings
from parley.cli.doctor.redundancy import redis_standby
from parley.cli.faults import FAULTS, is_denied, sentence
from parley.shared import cluster_url, redis, sentinel
from parley.shared.cluster import SLOTS, Cluster, slot_of
from parley.shared.host_lists import Address
from parley.shared.pubsub import publish, subscription
from parley.shared.rooms import CHANNEL_PREFIX
from parley.shared.settings import SettingsError

LEAST_VERSION, LEAST_CLUSTER_VERSION = (6, 2), (7, 0)
"""ZMSCORE came with the first, SPUBLISH with the second."""
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
        if cluster_url.is_cluster(url):
            async for finding in _cluster_findings(url, client):
                yield finding
        else:
            async for finding in _findings(client):
                yield finding
        if sentinel.is_url(url):
            for finding in await redis_standby(client.connection_pool.master):
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
    yield await _version(client, LEAST_VERSION)
    yield findings.clock(await _clock(client))
    yield await _write(client, _name())
    yield await _publish(client, _name())


async def _cluster_findings(url: str, client: Any) -> AsyncIterator[Finding]:
    """Yield one finding of a kind: the first that is bad, of any master."""
    nodes = redis.open_cluster(url)
    try:
        await nodes.refresh()
        masters = nodes.masters()
        yield findings.ok("reachable", f"It answers: a cluster of {len(masters)} masters.")
        yield _slots(nodes)
        of_masters = [await _of_master(nodes, master, client) for master in masters]
        for of_one_kind in zip(*of_masters, strict=True):
            yield next((each for each in of_one_kind if each.level != "ok"), of_one_kind[0])
    finally:
        await nodes.close()


def _slots(nodes: Cluster) -> Finding:
    missing = sum(owner is None for owner in nodes.owners())
    if missing:
        return findings.error(
            "slots",
            f"{missing:,} of its {SLOTS:,} hash slots have no master: run `redis-cli --cluster fix`.",
        )
    alone = [master for master in nodes.masters() if not nodes.replicas(master)]
    if alone:
        host, port = alone[0]
        return findings.warning(
            "slots",
            f"{len(alone)} of its masters have no replica ({host}:{port}): while such a one is away, a part "
            "of the live stream is.",
        )
    return findings.ok("slots", "All hash slots have a master, and each master has a replica.")


async def _of_master(nodes: Cluster, master: Address, client: Any) -> list[Finding]:
    direct = nodes.client(master)
    # Any number whose slot the master has: each slot has some.
    name = _name(next(n for n in count() if nodes.owner(slot_of(str(n))) == master))
    return [
        await _version(direct, LEAST_CLUSTER_VERSION),
        findings.clock(await _clock(direct)),
        await _write(direct, name),
        await _publish(client, name),
    ]


async def _version(client: Any, least: tuple[int, int]) -> Finding:
    # INFO is one of the dangerous commands, which the services' user may not have.
    answer = await client.execute_command("HELLO")
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=False))
    version = _text(pairs.get(b"version", pairs.get("version", "?")))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < least:
        return findings.error(
            "version", f"Its version is {version}: {least[0]}.{least[1]} or newer is needed."
        )
    return findings.ok("version", f"Its version is {version}.")


async def _clock(client: Any) -> float:
    seconds, microseconds = await client.eval(SCRIPT, 0)
    return int(seconds) + int(microseconds) / 1e6


async def _write(client: Any, key: str) -> Finding:
    started = monotonic()
    try:
        await client.set(key, "1", px=5_000)
        await client.delete(key)
    except FAULTS as error:
        if not is_denied(error):
            raise
        return findings.error("rights", sentence(error, "Redis", "REDIS_URL"))
    return findings.speed(monotonic() - started, "A write")


async def _publish(client: Any, channel: str) -> Finding:
    try:
        async with subscription(client, channel) as subscribed:
            await publish(client, channel, b"1")
            arrived = await subscribed.next(ANSWER_SECONDS)
    except FAULTS as error:
        if not is_denied(error):
            raise
        return findings.error("rights", sentence(error, "Redis", "REDIS_URL"))
    if arrived is None:
        return findings.error(
            "pubsub", "It delivers nothing to a subscriber: restart it; the gateways repair what was missed."
        )
    return findings.ok("pubsub", "It delivers to subscribers.")


def _name(tag: object = "") -> str:
    """Return a new key or channel; a tag in braces decides its slot."""
    return f"{CHANNEL_PREFIX}doctor:{{{tag}}}:{uuid.uuid4().hex}"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
