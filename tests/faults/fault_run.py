"""The tools of a row while it causes its fault: the stack, the load, checks against the row's bounds."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import aiohttp

from clients.chat import ChatUsers
from clients.database import open_database
from clients.load_generator import Stopwatch, longest_stop
from clients.termination import terminate
from clients.workers import DeadLetters, PartitionShares
from faults.examinations import Examinations
from faults.recording import Recording
from faults.row import Outcome, Row
from faults.traffic import Traffic
from faults.verdict import judge
from parley.stack import Stack

P = ParamSpec("P")
T = TypeVar("T")
Report = Callable[[str], None]
ASKING = 0.5


class FaultRun:
    """One run of a row on a working stack, with its own users and conversations."""

    def __init__(self, row: Row, stack: Stack, report: Report, *, recorded: bool = False) -> None:
        self.stack, self.report, self._is_recorded = stack, report, recorded
        self.outcome = Outcome(row=row)
        self.users = ChatUsers(stack.url, stack.jwt_secret)
        self.dead_letters = DeadLetters(stack)
        self._exit_stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.reopen_database()
        timeout = aiohttp.ClientTimeout(total=5)
        self.http = await self._exit_stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        asking = aiohttp.ClientTimeout(total=ASKING)
        http = await self._exit_stack.enter_async_context(aiohttp.ClientSession(timeout=asking))
        self.shares = PartitionShares(self.stack, http)
        self._exit_stack.push_async_callback(self.users.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit_stack.aclose()

    async def reopen_database(self) -> None:
        """Connect to the database, anew where it was restored: the driver refuses its primaries otherwise."""
        self.database = await self._exit_stack.enter_async_context(open_database(self.stack.mongo_url))

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[Traffic]:
        """Run the steady load and judge it at the end; exceptions within become reasons."""
        await self.dead_letters.take()
        async with Traffic(self.stack, self.users) as traffic:
            try:
                async with self._recording(), traffic.start_load():
                    await traffic.wait_for_accepted()
                    try:
                        yield traffic
                        await traffic.wait_for_accepted()
                    except Exception as failure:
                        self.fail(failure)
                        await in_thread(self.stack.up)
            except Exception as failure:
                self.fail(failure)
            self._note_stop(longest_stop(traffic.speakers))
            await judge(self.outcome, traffic, self.users, self.database)
        if letters := await self.dead_letters.take():
            self.outcome.reasons.append(f"{len(letters)} dead letters")

    @asynccontextmanager
    async def _recording(self) -> AsyncIterator[None]:
        """Record the metrics that the alerts read and the doctor's findings, where that was asked for."""
        if not self._is_recorded:
            yield
            return
        async with Examinations(self.stack) as examinations, Recording(self.stack) as recording:
            yield
        recording.write(self.outcome.row.name)
        examinations.write(self.outcome.row.name)

    def _note_stop(self, seconds: float) -> None:
        """Count the longest time without an accepted send as recovery, where the row bounds it."""
        self.report(f"the longest time without an accepted send was {seconds:.1f} s")
        if math.isfinite(self.outcome.row.refused):
            self.outcome.recovery = max(seconds, self.outcome.recovery or 0.0)

    @asynccontextmanager
    async def with_settings(self, overrides: Mapping[str, Mapping[str, str]]) -> AsyncIterator[None]:
        """Run single services with overridden settings."""
        await in_thread(self.stack.set_overrides, overrides)
        await self.shares.wait_until_fair()
        try:
            yield
        finally:
            await in_thread(self.stack.set_overrides, {})

    def fail(self, failure: BaseException) -> None:
        """Add a reason why the row has not passed."""
        self.outcome.reasons.append(str(failure) or repr(failure))

    def expect(self, holds: bool, otherwise: str) -> None:
        """Add a reason unless the condition holds, and go on."""
        if not holds:
            self.outcome.reasons.append(otherwise)

    async def wait_for(self, expected: str, condition: Callable[[], Any], within: float) -> float:
        """Wait for a condition and report when it came; return the seconds.

        Raises:
            AssertionError: The condition is still false after `within` seconds.
        """
        watch = Stopwatch()
        try:
            await watch.until(condition, within)
        except AssertionError:
            raise AssertionError(f"not within {within:g} s: {expected}") from None
        self.report(f"{expected} after {watch.seconds:.1f} s")
        return watch.seconds

    async def wait_for_recovery(self, traffic: Traffic, since: float = 0.0) -> None:
        """Wait until the effects of the fault are over, within the row's bound.

        Args:
            traffic: The load.
            since: The time from which on accepted messages must be received.
        """
        limit = self.outcome.row.recovery
        recovered = partial(traffic.wait_until_recovered, limit, since)
        seconds = await self.wait_for("all as before", recovered, limit)
        self.outcome.recovery = max(seconds, self.outcome.recovery or 0.0)

    async def terminate(self, name: str, within: float) -> None:
        """Send SIGTERM to a part, and check that it exits within this time with code 0."""
        end = terminate(self.stack, name)
        await self.wait_for(f"{name} has ended", end, within)
        self.expect(end() == "exit status 0", f"{name} ended with {end()}")

    async def gateways_ready(self) -> list[bool]:
        """Return whether each gateway reports that it is ready."""
        statuses = []
        for url in self.stack.gateway_urls:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self.http.get(f"{url}/readyz") as answer:
                    statuses.append(answer.status == 200)
                continue
            statuses.append(False)
        return statuses


async def in_thread(call: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """Run a blocking call in a thread, while the load goes on."""
    return await asyncio.to_thread(call, *args, **more)


async def run_row(row: Row, stack: Stack, report: Report, *, recorded: bool = False) -> Outcome:
    """Run a row within its bound; leave the stack working, or a reason why it is not."""
    start = time.monotonic()
    async with FaultRun(row, stack, report, recorded=recorded) as run:
        try:
            async with asyncio.timeout(row.bound) as bound:
                await row.run(run)
        except Exception as failure:
            run.fail(AssertionError(f"not done in {row.bound:g} s") if bound.expired() else failure)
        try:
            await in_thread(stack.up)
            await run.shares.wait_until_fair()
        except Exception as failure:
            run.fail(AssertionError(f"left broken: {failure}"))
        run.outcome.seconds = time.monotonic() - start
        return run.outcome
