"""One client process: it obeys the commands of the fleet and reports once a second."""

import asyncio
import gc
import os
import random
import resource
import socket
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import uvloop

from clients.chat import token
from load.generator.channel import Channel
from load.generator.client import Client
from load.generator.ledger import Balance, Ledger, Tally
from load.generator.loops import ClosedLoop, OpenLoop, every

CONNECTS_AT_ONCE = 32
GROUPS_AT_ONCE = 4
REPORT_SECONDS = 1.0


@dataclass(frozen=True)
class Assignment:
    """The part of the load that one process makes."""

    urls: Sequence[str]
    sources: Sequence[str]
    """Local addresses to connect from; none for the default one."""
    secret: str
    prefix: str
    """The beginning of the user ids."""
    sizes: Sequence[Sequence[int]]
    """The sizes of the groups by kind."""
    confirms: bool
    """Whether the server tells when a message is stored, besides its answer."""


@dataclass(frozen=True)
class Report:
    """The last second of a process."""

    at: float
    tally: Tally
    up: int
    """Sockets that are connected now."""
    processor_seconds: float


class ClientProcess:
    """The clients of one process; each method below `serve` is a command."""

    def __init__(self, channel: Channel, assignment: Assignment) -> None:
        self._channel, self._assignment = channel, assignment
        self._ledger = Ledger(random.getrandbits(32))
        self._count = 0
        self._kinds = [[self._group(size) for size in sizes] for sizes in assignment.sizes]
        self._clients = [client for kind in self._kinds for group in kind for client in group]
        self._background: list[asyncio.Task[None]] = []

    async def serve(self) -> None:
        """Carry out commands until the fleet closes the channel."""
        loop = asyncio.get_running_loop()
        running = {loop.create_task(every(REPORT_SECONDS, self._report))}
        try:
            while True:
                command = await self._channel.receive()
                running.add(loop.create_task(self._carry_out(*command)))
        except EOFError:
            for task in running:
                task.cancel()

    async def _carry_out(self, number: int, name: str, arguments: dict[str, Any]) -> None:
        try:
            answer = await getattr(self, name)(**arguments)
        except (OSError, TimeoutError) as error:
            answer = error if str(error) else type(error)(f"{name}: no answer in time")
        self._channel.send((number, answer))

    def _report(self) -> None:
        times = os.times()
        up = sum(client.is_up for client in self._clients)
        report = Report(perf_counter(), self._ledger.take(), up, times.user + times.system)
        self._channel.send((0, report))

    # Commands

    async def connect(self, rate: float, groups: bool) -> int:
        """Connect all clients, `rate` a second; with `groups`, create these and join them.

        Raises:
            OSError: a connect was refused.
            TimeoutError: the server did not answer.
        """
        gate = asyncio.Semaphore(CONNECTS_AT_ONCE)
        began = perf_counter()

        async def one(number: int, client: Client) -> None:
            async with gate:
                await asyncio.sleep(began + number / rate - perf_counter())
                await client.connect()

        waiting = [client for client in self._clients if not client.is_up]
        for client in waiting:
            client.wanted = True
        await _all(one(number, client) for number, client in enumerate(waiting))
        if groups:
            creating = asyncio.Semaphore(GROUPS_AT_ONCE)
            await _all(self._create(group, creating, gate) for kind in self._kinds for group in kind)
        gc.collect()
        gc.freeze()
        return len(self._clients)

    async def open_loop(self, rates: Sequence[float], begin: float, seconds: float, rise: float) -> None:
        """Send at a rate for each group of a kind, whether messages are answered or not."""
        loops = [
            OpenLoop(kind, len(kind) * rate, rise, self._ledger)
            for kind, rate in zip(self._kinds, rates, strict=True)
            if kind and rate
        ]
        await _all(loop.run(begin, seconds) for loop in loops)

    async def closed_loop(self, window: int, seconds: float) -> None:
        """Have each client send the next of `window` messages when one is stored."""
        await ClosedLoop(self._clients, window).run(seconds)

    async def storm(self, share: float) -> int:
        """Lose a share of the sockets at once; return their number."""
        lost = [client for client in self._clients if client.is_up and random.random() < share]
        for client in lost:
            client.drop()
        return len(lost)

    async def background(self, typing: float, churn: float, slow: float, pause: float) -> None:
        """Begin what goes on beside the messages, until the end.

        Args:
            typing: typing events per second.
            churn: sockets per second that are lost and come back.
            slow: the share of the clients that read slowly.
            pause: seconds for which these stop reading, of each `pause` and a tenth.
        """
        loop = asyncio.get_running_loop()
        chosen = random.sample(self._clients, int(slow * len(self._clients)))
        if typing:
            run = every(1 / typing, lambda: random.choice(self._clients).type())
            self._background.append(loop.create_task(run))
        if churn:
            run = every(1 / churn, lambda: random.choice(self._clients).drop())
            self._background.append(loop.create_task(run))
        if chosen:
            self._background.append(loop.create_task(_read_slowly(chosen, pause)))

    async def settle(self) -> None:
        """End what goes on beside the messages."""
        for task in self._background:
            task.cancel()
        for client in self._clients:
            if client.is_slow:
                client.read_slowly(paused=False)

    async def balance(self) -> tuple[Balance, int, float, Tally]:
        """Return what is open, the clients that are away, the last return, and the tally since the report."""
        away = sum(not client.is_up for client in self._clients)
        returned = max((client.returned_at for client in self._clients), default=0.0)
        return self._ledger.balance(), away, returned, self._ledger.take()

    async def gateways(self) -> dict[str, int]:
        """Return the number of sockets by gateway."""
        names = [client.gateway for client in self._clients if client.is_up]
        return {name: names.count(name) for name in set(names)}

    async def forget_disconnects(self) -> None:
        """Count all clients as steady again that do not read slowly."""
        for client in self._clients:
            client.is_steady = not client.is_slow

    async def leave(self) -> None:
        """Close all sockets as clients do that will not return."""
        for client in self._clients:
            client.leave()

    def _group(self, size: int) -> list[Client]:
        given = self._assignment
        everybody = (1 << size) - 1
        members = []
        for slot in range(size):
            number, self._count = self._count, self._count + 1
            user = f"{given.prefix}-{number}"
            source = given.sources[number % len(given.sources)] if given.sources else None
            url = given.urls[number % len(given.urls)]
            client = Client(
                user, token(given.secret, user), url, source, self._ledger, 1 << slot, confirms=given.confirms
            )
            client.everybody = everybody
            members.append(client)
        return members

    async def _create(
        self, group: list[Client], creating: asyncio.Semaphore, gate: asyncio.Semaphore
    ) -> None:
        if group[0].room:
            return
        async with creating:
            room = await group[0].create_group([client.user for client in group[1:]])

        async def join(client: Client) -> None:
            client.room = room
            async with gate:
                await client.join()

        await _all(join(client) for client in group)


async def _all(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines together; the first that fails cancels the others and is raised alone."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise


async def _read_slowly(clients: Sequence[Client], pause: float) -> None:
    while True:
        for client in clients:
            client.read_slowly(paused=True)
        await asyncio.sleep(pause)
        for client in clients:
            client.read_slowly(paused=False)
        await asyncio.sleep(pause / 10)


def run(end: socket.socket, assignment: Assignment) -> None:
    """Be a client process until the other end of the channel is closed."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def serve() -> None:
        await ClientProcess(await Channel.over(end), assignment).serve()

    uvloop.run(serve())
