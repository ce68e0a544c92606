"""An event loop with a simulated clock: waiting takes no real time, and every run is deterministic."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class SimulatedSelector(selectors.SelectSelector):
    """A selector that advances the loop's clock instead of waiting, up to the loop's limit."""

    loop: "ClockLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self.loop.wait(timeout)
        return []


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop that runs until nothing is left to do before a given time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._until = 0.0
        selector = SimulatedSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.seconds

    def now(self, _timezone: tzinfo | None = None) -> datetime:
        """Replace `datetime.now`."""
        return EPOCH + timedelta(seconds=self.seconds)

    def wait(self, seconds: float | None) -> None:
        """Advance the clock to the next timer, or stop the loop at its limit."""
        if seconds is not None and self.seconds + seconds <= self._until:
            self.seconds += seconds
        else:
            self.seconds = max(self.seconds, self._until)
            self.stop()

    def rest(self, seconds: float = 0.0) -> None:
        """Run everything that can be done in this many seconds."""
        self._until = self.seconds + seconds
        self.run_forever()

    def act(self, callback: Callable[[], object], seconds: float = 0.0) -> None:
        """Call a function within the loop, and run all that follows in this many seconds."""
        self.call_soon(callback)
        self.rest(seconds)

    def finish(self, work: Coroutine[Any, Any, T], seconds: float = 0.0) -> T:
        """Run a coroutine, which must end within this many seconds."""
        task = self.create_task(work)
        self.rest(seconds)
        if not task.done():
            task.cancel()
            self.rest()
            raise AssertionError("it does not come to an end")
        return task.result()

    def end(self) -> None:
        """Cancel all remaining tasks and close the loop."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.rest()
        self.close()
