"""`python -m load.bus`: the bus on one Redis and on a Redis Cluster of three masters, under the same load.

Three gateways' buses subscribe to the same channels. Publications are made in batches, as a worker makes
them; presence is taken for as many users. The servers are asked for what they hold.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from clients.chat import eventually
from clients.redis_cluster import RedisCluster, ask
from clients.redis_sentinel import SERVER, RedisServer
from load.connects import cpu_of
from parley.gateway.adapters.redis.presence_store import PresenceStore
from parley.gateway.pubsub.bus import Bus, Subscriber
from parley.shared import events, rooms
from parley.shared.presence import buckets, lease_name
from parley.shared.redis import open_commands
from parley.stack.ports import LOOPBACK, free_base

BODY = b"x" * 300
AT_ONCE = 500
LEASE_SECONDS = 600.0


@dataclass(frozen=True)
class Load:
    """How much is published and kept."""

    channels: int
    gateways: int
    batch: int
    seconds: float


@dataclass(frozen=True)
class Held:
    """The contents of one server, and its processor time."""

    port: int
    channels: int
    keys: int
    megabytes: float
    cpu: float


class Gateway:
    """A bus that counts what it receives, and notes how long it took."""

    def __init__(self, url: str, name: str) -> None:
        self.bus = Bus(url, name)
        self.received = 0
        self.delays: list[float] = []
        self.reconnects = 0
        self._awaited = 0
        self._arrived = asyncio.Event()
        self._own_channel = rooms.channel(rooms.node(name))
        self.bus.start(Subscriber(on_message=self._receive, on_reconnect=self._reconnected))

    def _receive(self, channel: str, body: bytes) -> Iterator[None]:
        if channel == self._own_channel:
            for event in events.unpack(body):
                if isinstance(event, events.Heartbeat):
                    self.bus.heartbeat_received(event.count)
        elif body.startswith(b"x"):
            self.received += 1
            if self.received == self._awaited:
                self._arrived.set()
            if self.received % 20 == 0:
                self.delays.append(time.monotonic() - float(body[len(BODY) :]))
        yield

    async def wait_for(self, count: int) -> None:
        """Wait until so many publications have come."""
        if self.received < count:
            self._awaited = count
            self._arrived.clear()
            await self._arrived.wait()

    async def _reconnected(self) -> None:
        self.reconnects += 1


async def measure(url: str, servers: Sequence[RedisServer], load: Load) -> tuple[str, list[Held]]:
    """Return a line of figures, and what each server holds."""
    channels = [f"parley:conversation:{number:032x}" for number in range(load.channels)]
    async with AsyncExitStack() as stack:
        gateways = []
        for number in range(load.gateways):
            gateway = Gateway(url, f"g{number}")
            stack.push_async_callback(gateway.bus.stop)
            gateways.append(gateway)
        started = time.monotonic()
        await asyncio.gather(*(_subscribe(gateway.bus, channels) for gateway in gateways))
        subscribed = time.monotonic() - started
        await _arrive(url, load.channels)
        before = [cpu_of(server.pid) for server in servers]
        rate, publisher_cpu = await _publish(gateways, channels, load)
        held = [_held(server, cpu) for server, cpu in zip(servers, before, strict=True)]
        delays = sorted(delay for gateway in gateways for delay in gateway.delays)
        back = await _reconnect(gateways, partial(_cut, servers))
        restarted = ""
        if len(servers) == 1:
            restarted = (
                f", after a restart in {await _reconnect(gateways, partial(_restart, servers[0])):.1f} s"
            )
        p99 = delays[int(len(delays) * 0.99)]
        return (
            f"{rate:,.0f} publications/s, {publisher_cpu * 1e6:.0f} us of this process each; "
            f"median {statistics.median(delays) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms; "
            f"subscribed in {subscribed:.1f} s, again after a loss in {back:.1f} s{restarted}",
            held,
        )


async def _subscribe(bus: Bus, channels: Sequence[str]) -> None:
    await eventually(lambda: not bus.stale)
    for start in range(0, len(channels), AT_ONCE):
        await bus.subscribe(channels[start : start + AT_ONCE])


async def _arrive(url: str, users: int) -> None:
    store = PresenceStore(open_commands(url), buckets(url))
    names = [lease_name(f"user-{number:08}", f"g1.{number:020}") for number in range(users)]
    for start in range(0, users, AT_ONCE):
        await store.arrive(names[start : start + AT_ONCE], LEASE_SECONDS)
    await store.close()


async def _publish(gateways: Sequence[Gateway], channels: Sequence[str], load: Load) -> tuple[float, float]:
    """Publish as much as is received; return the publications a second, and the processor time of each."""
    publisher = gateways[0].bus
    published, number = 0, 0
    started, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - started < load.seconds:
        batch = [channels[(number + n) % len(channels)] for n in range(load.batch)]
        number += load.batch
        body = BODY + str(time.monotonic()).encode()
        await publisher.publish(dict.fromkeys(batch, body))
        published += len(batch)
        for gateway in gateways:
            await gateway.wait_for(published - 10 * load.batch)
    for gateway in gateways:
        await gateway.wait_for(published)
    return published / (time.monotonic() - started), (time.process_time() - cpu) / published


async def _reconnect(gateways: Sequence[Gateway], disturb: Callable[[], None]) -> float:
    """Return the seconds until all gateways are subscribed to everything again."""
    before = [gateway.reconnects for gateway in gateways]
    started = time.monotonic()
    await asyncio.to_thread(disturb)
    await eventually(lambda: all(g.reconnects > n for g, n in zip(gateways, before, strict=True)), 60.0)
    return time.monotonic() - started


def _cut(servers: Sequence[RedisServer]) -> None:
    for server in servers:
        ask(server, "CLIENT", "KILL", "TYPE", "pubsub")


def _restart(server: RedisServer) -> None:
    server.kill()
    server.start()


def _held(server: RedisServer, cpu_before: float) -> Held:
    is_cluster = "cluster_enabled:1" in str(ask(server, "INFO", "cluster"))
    kind = "SHARDCHANNELS" if is_cluster else "CHANNELS"
    memory = next(
        line for line in str(ask(server, "INFO", "memory")).splitlines() if line.startswith("used_memory:")
    )
    return Held(
        server.port,
        len(ask(server, "PUBSUB", kind, "parley:conversation:*")),
        int(ask(server, "DBSIZE")),
        int(memory.partition(":")[2]) / 1e6,
        cpu_of(server.pid) - cpu_before,
    )


async def run(load: Load, rounds: int) -> None:
    """Measure both in turns."""
    with tempfile.TemporaryDirectory(prefix="parley-bus") as name:
        directory = Path(name)
        port = free_base()
        one = RedisServer(directory, port, SERVER.replace("{port}", str(port)).replace("{replica_of}", ""))
        cluster = RedisCluster(directory)
        one.start()
        try:
            cluster.start()
            for _ in range(rounds):
                for title, url, servers in (
                    ("one Redis", f"redis://{LOOPBACK}:{port}", [one]),
                    ("three masters", cluster.url, cluster.masters),
                ):
                    line, held = await measure(url, servers, load)
                    print(f"{title}: {line}")
                    for each in held:
                        print(
                            f"  {each.port}: {each.channels:,} channels, {each.keys} keys, "
                            f"{each.megabytes:.1f} MB, {each.cpu:.1f} s of processor time"
                        )
        finally:
            one.kill()
            cluster.stop()


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m load.bus", description=__doc__)
    parser.add_argument("--channels", type=int, default=30_000, help="channels, and users")
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--batch", type=int, default=100, help="publications of one call")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    uvloop.run(run(Load(given.channels, given.gateways, given.batch, given.seconds), given.rounds))


if __name__ == "__main__":
    main()
