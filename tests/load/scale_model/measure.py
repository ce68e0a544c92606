"""Measures unit costs on a running stack of two gateways; each scene has clients of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from load import meters
from load.connects import Scenario, Users
from load.generator.fleet import Fleet
from load.generator.groups import GroupKind
from load.scale_model.counters import SECOND_GATEWAY, Costs, Counters, difference, each, less, slope
from parley.stack import Stack

FAST = 2_000.0
SETTLE_SECONDS = 2.0
CONNECTS, CONNECTS_PER_SECOND = 300, 100.0
SMALL, LARGE, CROWD = 2, 20, 50
GROUPS = 20
"""Groups to which messages are sent, of each size: messages of one group share a publication."""
WARMING = 100
CHANNELS = 'parley_held{what="channels"}'


@dataclass(frozen=True, kw_only=True)
class UnitCosts:
    """The costs of one of each, by part: seconds of processor time, and counts.

    Attributes:
        idle: A second of a stack of two gateways and two workers without clients.
        socket: A second of an idle socket.
        audit: A second of a gateway with sockets: the audits, which do not grow with these.
        connect: A connect and the disconnect, of a user without conversations.
        conversation: The addition to a connect for each conversation of the user, with nobody else online.
        presence_received: A gateway learns that a user of another gateway has come or gone, of whom it has
            no contacts.
        presence_delivery: A client gets the event that a user has come or gone.
        message: A message, without the two that follow.
        touched: A gateway gets the event of a message.
        delivery: A client gets a message.
        memory: Bytes: `gateway` and `redis` (without clients), `socket`, `membership`, `presence` (a user's,
            in Redis), `subscription` (of Redis), `message` (stored, with indexes and search).
        channels: Subscriptions of a gateway: `user`, `conversation`, `gateway` (without clients).
    """

    idle: Costs
    socket: Costs
    audit: Costs
    connect: Costs
    conversation: Costs
    presence_received: Costs
    presence_delivery: Costs
    message: Costs
    touched: Costs
    delivery: Costs
    memory: Costs
    channels: Costs


class Scenes:
    """The scenes by which the costs are measured.

    Args:
        stack: Two gateways, without rate limits.
        counters: The counters of its parts.
        http: For the gateways' metrics.
        database: Its database.
        show: Takes a line of progress.
    """

    def __init__(
        self,
        stack: Stack,
        counters: Counters,
        http: aiohttp.ClientSession,
        database: object,
        show: Callable[[str], None],
        *,
        seconds: float,
        rate: float,
        sockets: int,
    ) -> None:
        self._stack, self._counters, self._database, self._show = stack, counters, database, show
        self._meters = meters.Reader(stack, http)
        self._seconds, self._rate, self._sockets = seconds, rate, sockets
        self._idle: Costs = {}

    async def run(self) -> UnitCosts:
        """Run all scenes."""
        one, both = self._stack.gateway_urls[:1], self._stack.gateway_urls
        await self._warm_up()
        self._idle = await self._nothing()
        bare = await self._counters.memory()
        strangers, none_held = await self._connects(Scenario("", CONNECTS, 0, 0))
        presence_received = {"gateways": strangers[SECOND_GATEWAY] / 2}
        plain = less(strangers, {"gateways": strangers[SECOND_GATEWAY]})
        many, ten_held = await self._connects(Scenario("", CONNECTS, 10, 10))
        alone = await self._fleet_connects(SMALL)
        crowd = await self._fleet_connects(CROWD)
        # A user who connects finds half of the others online; all leave at once, and nobody gets that.
        presence_delivery = slope(crowd, alone, (CROWD - SMALL) / 2)
        idle_socket, audit, memory, channels = await self._sockets_at_rest(bare)
        memory = {**memory, "membership": max(0.0, ten_held - none_held) / CONNECTS / 10}
        small = await self._messages(SMALL, one)
        large = await self._messages(LARGE, one)
        spread = await self._messages(LARGE, both)
        through = await self._messages(LARGE, [self._stack.url])
        delivery = {**slope(large, small, LARGE - SMALL), "nginx": through["nginx"] / LARGE}
        touched = slope(spread, large, 1)
        stored = less(less(small, delivery, SMALL), touched)
        return UnitCosts(
            idle=self._idle,
            socket=idle_socket,
            audit=audit,
            connect={**plain, "nginx": alone["nginx"]},
            conversation=less(slope(many, plain, 10), presence_delivery, 4.5),
            presence_received=presence_received,
            presence_delivery=presence_delivery,
            message=stored,
            touched=touched,
            delivery=delivery,
            memory=memory,
            channels=channels,
        )

    async def _warm_up(self) -> None:
        self._show("warming up")
        async with self._fleet([self._stack.url], GroupKind(WARMING // 10, 10)) as fleet:
            await fleet.connect(FAST)
            await fleet.run_open(self._rate, SETTLE_SECONDS)
            await fleet.drain()
            await fleet.leave()
        await asyncio.sleep(SETTLE_SECONDS)

    async def _nothing(self) -> dict[str, float]:
        self._show("nothing")
        before = await self._counters.read()
        await asyncio.sleep(self._seconds)
        after = await self._counters.read()
        used = difference(before, after, {})
        return {name: value / (after["seconds"] - before["seconds"]) for name, value in used.items()}

    async def _used(self, work: Awaitable[object]) -> dict[str, float]:
        before = await self._counters.read()
        await work
        return difference(before, await self._counters.read(), self._idle)

    async def _connects(self, scenario: Scenario) -> tuple[dict[str, float], float]:
        """Connect stored users to the first gateway, and disconnect them; return costs and bytes held."""
        self._show(f"{scenario.users} connects of users with {scenario.conversations} conversations")
        users = Users(scenario, self._stack, self._stack.gateway_urls[:1])
        await users.store(self._database)
        held = -(await self._counters.memory())["gateways"]

        async def come_and_go() -> None:
            nonlocal held
            await users.connect("/chat", 4)
            await asyncio.sleep(SETTLE_SECONDS)
            held += (await self._counters.memory())["gateways"]
            await users.close()
            await asyncio.sleep(2 * SETTLE_SECONDS)

        return each(await self._used(come_and_go()), scenario.users), held

    async def _fleet_connects(self, size: int) -> dict[str, float]:
        """Connect the members of groups through nginx, and disconnect them."""
        self._show(f"connects of members of groups of {size}")
        async with self._fleet([self._stack.url], GroupKind(CONNECTS // size, size)) as fleet:
            await fleet.connect(FAST)
            await fleet.leave()
            await asyncio.sleep(2 * SETTLE_SECONDS)
            await fleet.reset()

            async def come_and_go() -> None:
                await fleet.connect(CONNECTS_PER_SECOND, groups=False)
                await asyncio.sleep(SETTLE_SECONDS)
                await fleet.leave()
                await asyncio.sleep(2 * SETTLE_SECONDS)

            return each(await self._used(come_and_go()), fleet.sockets)

    async def _sockets_at_rest(self, bare: Costs) -> tuple[Costs, Costs, Costs, Costs]:
        """Connect many sockets of groups of ten, and leave them alone."""
        self._show(f"{self._sockets:,} idle sockets")
        empty = meters.total(await self._meters.read(), "gateway", CHANNELS)
        async with self._fleet([self._stack.url], GroupKind(self._sockets // 10, 10)) as fleet:
            await fleet.connect(FAST)
            await asyncio.sleep(3 * SETTLE_SECONDS)
            memory = await self._counters.memory()
            read = await self._meters.read()
            before = await self._counters.read()
            await asyncio.sleep(3 * self._seconds)
            after = await self._counters.read()
            await fleet.leave()
        await asyncio.sleep(2 * SETTLE_SECONDS)
        rest = each(difference(before, after, self._idle), after["seconds"] - before["seconds"])
        # The audits take most of the calls, and their number does not depend on the sockets.
        audit = {name: rest[name] / 2 for name in ("mongodb", "mongodb calls", "mongodb bytes")}
        per_socket = {name: value / self._sockets for name, value in rest.items() if name not in audit}
        channels = meters.total(read, "gateway", CHANNELS) - empty
        held = memory["gateways"] - bare["gateways"]
        keys = memory["redis keys"] - bare["redis keys"]
        kept = {
            "gateway": bare["gateways"] / 2,
            "socket": held / self._sockets,
            "redis": bare["redis"],
            "presence": keys / self._sockets,
            "subscription": (memory["redis"] - bare["redis"] - keys) / max(channels, 1.0),
            "message": await self._bytes_of_a_message(),
        }
        groups = self._sockets / 10
        # Ten members at two gateways: nearly every conversation has one at both.
        channels_of = {
            "user": (channels - 2 * groups) / self._sockets,
            "conversation": 1.0,
            "gateway": empty / 2,
        }
        return per_socket, audit, kept, channels_of

    async def _bytes_of_a_message(self) -> float:
        before = await self._counters.memory()
        count = await _stored(self._database)
        async with self._fleet(self._stack.gateway_urls, GroupKind(2, 2)) as fleet:
            await fleet.connect(FAST)
            await fleet.run_open(self._rate, self._seconds)
            await fleet.drain()
            await fleet.leave()
        after = await self._counters.memory()
        return max(0.0, after["mongodb"] - before["mongodb"]) / max(1, await _stored(self._database) - count)

    async def _messages(self, size: int, urls: Sequence[str]) -> dict[str, float]:
        """Send to groups at a rate."""
        self._show(f"messages to groups of {size}, {len(urls)} gateways")
        async with self._fleet(urls, GroupKind(GROUPS, size)) as fleet:
            await fleet.connect(FAST)
            await fleet.run_open(self._rate, SETTLE_SECONDS)
            await fleet.drain()
            await fleet.reset()

            async def send() -> None:
                await fleet.run_open(self._rate, self._seconds)
                await fleet.drain()

            used = await self._used(send())
            await fleet.flush()
            stored = fleet.tally.stored
            await fleet.leave()
        await asyncio.sleep(SETTLE_SECONDS)
        return each(used, stored)

    def _fleet(self, urls: Sequence[str], kind: GroupKind) -> Fleet:
        return Fleet(urls, self._stack.jwt_secret, [kind])


async def _stored(database: object) -> int:
    messages = database.messages  # type: ignore[attr-defined]
    return int(await messages.estimated_document_count())
