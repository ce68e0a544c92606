"""A load from the first connect to the last delivery, with what happens to it on the way."""

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from time import perf_counter
from typing import Any

from load.generator.fleet import LEAD_SECONDS, Fleet
from load.generator.histogram import percentile
from load.generator.ledger import Tally
from load.progress import Progress
from load.report.summary import Incident, LoadResult
from load.sampler import Sampler
from parley.stack import Stack

RESTARTED_SECONDS = 3.0
"""Seconds after which a killed part runs again, with another process."""


class LoadRun:
    """A run by command-line options on a fleet, and on a stack of its own (or None)."""

    def __init__(self, fleet: Fleet, stack: Stack | None, options: argparse.Namespace) -> None:
        self._fleet, self._stack, self._options = fleet, stack, options
        self._sampler = Sampler(fleet, stack)
        self._progress = Progress()
        self._incidents: list[Incident] = []

    async def run(self) -> LoadResult:
        """Connect, send, wait for what is due, and return what was measured."""
        fleet, options = self._fleet, self._options
        await self._sampler.start()
        idle = {n: held for n, held in self._resident().items() if n.startswith("gateway")}
        connected_in = await self._connect()
        gateways = await fleet.gateways()
        await fleet.reset()
        await fleet.background(
            typing=options.typing, churn=options.churn, slow=options.slow, pause=options.pause
        )
        began = perf_counter() + LEAD_SECONDS
        self._show_seconds(began)
        await asyncio.gather(self._send(), *self._happenings())
        drained = await fleet.drain()
        fleet.on_report = lambda: None
        self._sampler.stop()
        await fleet.leave()
        return LoadResult(
            settings={**vars(options), "sockets": fleet.sockets, "groups": options.groups},
            began=began,
            seconds=options.seconds,
            connected_in=connected_in,
            tally=fleet.tally,
            by_second=dict(fleet.seconds),
            samples=self._sampler.samples,
            drained=drained,
            idle_memory=idle,
            incidents=self._incidents,
            gateways=gateways,
        )

    async def _connect(self) -> float:
        fleet = self._fleet

        def show() -> None:
            if fleet.connected < fleet.sockets:
                self._progress.show("sockets", fleet.connected, fleet.sockets)
            else:
                self._progress.note(f"{fleet.sockets:,} sockets, which create and join their groups")

        fleet.on_report = show
        began = perf_counter()
        await fleet.connect(self._options.ramp)
        return perf_counter() - began

    async def _send(self) -> None:
        options = self._options
        if options.closed:
            await self._fleet.run_closed(options.window, options.seconds)
        else:
            await self._fleet.run_open(options.rate, options.seconds, options.rise)

    def _happenings(self) -> list[Coroutine[Any, Any, None]]:
        options = self._options
        happenings = []
        if options.storm:
            happenings.append(self._storm(options.seconds / 3, options.storm))
        if options.kill:
            happenings.append(self._kill(options.seconds / 2, options.kill))
        return happenings

    async def _storm(self, after: float, share: float) -> None:
        await asyncio.sleep(after)
        at = perf_counter()
        lost = await self._fleet.storm(share)
        self._incidents.append(Incident(at, "reconnect storm", lost))

    async def _kill(self, after: float, part: str) -> None:
        assert self._stack is not None
        await asyncio.sleep(after)
        sockets = (await self._fleet.gateways()).get(part.replace("gateway-", "g"), 0)
        self._incidents.append(Incident(perf_counter(), f"{part} is killed", sockets))
        await asyncio.to_thread(self._stack.signal, part, signal.SIGKILL)
        await asyncio.sleep(RESTARTED_SECONDS)
        await self._sampler.find_parts()

    def _resident(self) -> dict[str, int]:
        self._sampler.take()
        return dict(self._sampler.samples[-1].memory)

    def _show_seconds(self, began: float) -> None:
        fleet, before = self._fleet, Tally()

        def show() -> None:
            passed = int(perf_counter() - began)
            last = fleet.seconds.get(int(perf_counter()) - 1, before)
            delays = last.delivered_delays
            self._progress.note(
                f"{passed:4d} s: {fleet.connected:,} sockets, {last.sent:,} sent/s, "
                f"{last.stored:,} stored/s, {last.delivered:,} delivered/s, "
                f"p50 {1000 * percentile(delays, 0.5):.1f} ms, "
                f"p99 {1000 * percentile(delays, 0.99):.1f} ms, {last.refused.total():,} refused"
            )

        fleet.on_report = show
