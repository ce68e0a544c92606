"""The fleet of client processes: commands to all of them, and their reports as one."""

import asyncio
import itertools
import math
import socket
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from time import perf_counter
from typing import Any, Self

from load.generator.channel import Channel
from load.generator.groups import GroupKind, group_rates, split_groups
from load.generator.ledger import Balance, Tally
from load.generator.process import Assignment, Report, run

SOCKETS_OF_PROCESS = 9_000
"""A process may open 20,000 files; a reconnect may hold two sockets for a while."""
SOCKETS_OF_SOURCE = 6_000
"""Sockets that share a local address; each needs a port of its own, of 28,000."""
LEAD_SECONDS = 0.2
"""Seconds between the command to send and the first message, so that all processes begin together."""
QUIET_SECONDS = 8.0
"""After so many seconds without progress, what is missing counts as lost."""
LOOK_SECONDS = 0.1
ENDING_SECONDS = 10.0


@dataclass
class Drained:
    """How the accounts stood when nothing came any more."""

    balance: Balance
    away: int
    """Clients without a socket."""
    returned_at: float
    """When the last client had returned and caught up, by `perf_counter`."""
    seconds: float
    """Seconds until the accounts were even, or stood still."""


class Fleet:
    """Client processes that connect to `urls` in turn; the secret signs their tokens.

    Args:
        urls: the servers.
        secret: signs the clients' tokens.
        kinds: the mix of groups.
        processes: their number; by default one for every 9,000 sockets, and two at least.
        confirms: whether the server tells when a message is stored, besides its answer.
    """

    def __init__(
        self,
        urls: Sequence[str],
        secret: str,
        kinds: Sequence[GroupKind],
        *,
        processes: int | None = None,
        confirms: bool = True,
    ) -> None:
        self.kinds = tuple(kinds)
        self.sockets = sum(kind.sockets for kind in kinds)
        self.tally = Tally()
        """The sum of all reports since `reset`."""
        self.seconds: dict[int, Tally] = {}
        """The reports by the second in which they ended, since `reset`."""
        self.processor_seconds: dict[int, float] = {}
        """Processor time of the client processes, by number."""
        self._up: dict[int, int] = {}
        self.on_report: Callable[[], None] = lambda: None
        count = processes or max(2, math.ceil(self.sockets / SOCKETS_OF_PROCESS))
        self._assignments = self._assign(urls, secret, count, confirms)
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._channels: list[Channel] = []
        self._receiving: list[asyncio.Task[None]] = []
        self._processes: list[Any] = []

    async def __aenter__(self) -> Self:
        context = get_context("spawn")
        for number, assignment in enumerate(self._assignments):
            ours, theirs = socket.socketpair()
            process = context.Process(target=run, args=(theirs, assignment), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            channel = await Channel.over(ours)
            self._channels.append(channel)
            self._receiving.append(asyncio.create_task(self._receive(number, channel)))
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._receiving:
            task.cancel()
        for channel in self._channels:
            channel.close()
        for process in self._processes:
            await asyncio.to_thread(process.join, ENDING_SECONDS)
            if process.is_alive():
                process.kill()

    @property
    def connected(self) -> int:
        """The number of connected sockets."""
        return sum(self._up.values())

    async def connect(self, rate: float, *, groups: bool = True) -> None:
        """Connect all clients, `rate` a second, and with `groups` create and join these.

        Raises:
            OSError: a connect was refused.
            TimeoutError: the server did not answer.
        """
        await self._call("connect", rate=rate / len(self._channels), groups=groups)

    async def run_open(self, rate: float, seconds: float, rise: float = 0.0) -> None:
        """Send at a rate that rises from 0 for `rise` seconds; groups without an own rate share it."""
        rates = group_rates(self.kinds, rate)
        begin = perf_counter() + LEAD_SECONDS
        await self._call("open_loop", rates=rates, begin=begin, seconds=seconds, rise=rise)

    async def run_closed(self, window: int, seconds: float) -> None:
        """Have each client send the next of `window` messages when one is stored."""
        await self._call("closed_loop", window=window, seconds=seconds)

    async def storm(self, share: float) -> int:
        """Lose a share of the sockets at once; return their number."""
        return sum(await self._call("storm", share=share))

    async def background(self, *, typing: float, churn: float, slow: float, pause: float) -> None:
        """Begin typing and lost sockets (each per second), and slow readers (a share)."""
        count = len(self._channels)
        await self._call("background", typing=typing / count, churn=churn / count, slow=slow, pause=pause)

    async def gateways(self) -> dict[str, int]:
        """Return the number of sockets by gateway."""
        found: dict[str, int] = defaultdict(int)
        for each in await self._call("gateways"):
            for name, count in each.items():
                found[name] += count
        return dict(found)

    async def drain(self) -> Drained:
        """End the background, and wait until the accounts are even or nothing comes any more."""
        await self._call("settle")
        began = news = perf_counter()
        before: object = None
        while True:
            state = await self._balance(began)
            if state.balance.is_even and not state.away:
                return state
            progress = (self.tally.delivered, self.tally.stored, self.tally.connects, state.balance)
            if progress != before:
                before, news = progress, perf_counter()
            elif perf_counter() - news > QUIET_SECONDS:
                return state
            await asyncio.sleep(LOOK_SECONDS)

    async def reset(self) -> None:
        """Begin to count anew."""
        await self.flush()
        await self._call("forget_disconnects")
        self.tally = Tally()
        self.seconds.clear()

    async def flush(self) -> None:
        """Have `tally` include what happened since the last reports."""
        await self._balance(0.0)

    async def leave(self) -> None:
        """Close all sockets for good."""
        await self._call("leave")

    async def _balance(self, began: float) -> Drained:
        total, away, returned = Balance(), 0, 0.0
        for balance, not_up, returned_at, tally in await self._call("balance"):
            total.unanswered += balance.unanswered
            total.unstored += balance.unstored
            total.missing += balance.missing
            away += not_up
            returned = max(returned, returned_at)
            self._add(perf_counter(), tally)
        return Drained(total, away, returned, perf_counter() - began)

    async def _call(self, name: str, **arguments: Any) -> list[Any]:
        loop = asyncio.get_running_loop()
        waiting = []
        for channel in self._channels:
            number = next(self._numbers)
            waiting.append(loop.create_future())
            self._answers[number] = waiting[-1]
            channel.send((number, name, arguments))
        answers = await asyncio.gather(*waiting)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return list(answers)

    async def _receive(self, process: int, channel: Channel) -> None:
        try:
            while True:
                number, answer = await channel.receive()
                if not number:
                    self._take(process, answer)
                # A command that was cancelled waits for its answer no more.
                elif not (waiting := self._answers.pop(number)).done():
                    waiting.set_result(answer)
        except EOFError:
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError("a client process has ended"))
            self._answers.clear()

    def _take(self, process: int, report: Report) -> None:
        self._up[process] = report.up
        self.processor_seconds[process] = report.processor_seconds
        self._add(report.at, report.tally)
        self.on_report()

    def _add(self, at: float, tally: Tally) -> None:
        self.tally.add(tally)
        self.seconds.setdefault(int(at), Tally()).add(tally)

    def _assign(self, urls: Sequence[str], secret: str, processes: int, confirms: bool) -> list[Assignment]:
        run_name = uuid.uuid4().hex[:8]
        sources = _sources(self.sockets)
        return [
            Assignment(
                urls=urls,
                sources=sources,
                secret=secret,
                prefix=f"load-{run_name}-{number}",
                sizes=[[kind.size] * share.count(index) for index, kind in enumerate(self.kinds)],
                confirms=confirms,
            )
            for number, share in enumerate(split_groups(self.kinds, processes))
        ]


def _sources(sockets: int) -> list[str]:
    """Return local addresses for so many sockets; few sockets need none but the default."""
    if sockets <= SOCKETS_OF_SOURCE:
        return []
    return [f"127.0.0.{2 + number}" for number in range(math.ceil(sockets / SOCKETS_OF_SOURCE))]
