"""An event loop whose time passes when the test says so: nothing waits for real, nothing is chance."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Idle(selectors.SelectSelector):
    """Asked to wait, it lets the loop's clock run on instead, up to where it may."""

    loop: "ClockLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self.loop.wait(timeout)
        return []


class ClockLoop(asyncio.SelectorEventLoop):
    """Runs until nothing is left to do before a given time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._until = 0.0
        selector = Idle()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.seconds

    def now(self, _timezone: tzinfo | None = None) -> datetime:
        """As `datetime.now`."""
        return EPOCH + timedelta(seconds=self.seconds)

    def wait(self, seconds: float | None) -> None:
        """There is nothing to do for so long."""
        if seconds is not None and self.seconds + seconds <= self._until:
            self.seconds += seconds
        else:
            self.seconds = max(self.seconds, self._until)
            self.stop()

    def rest(self, seconds: float = 0.0) -> None:
        """Do everything that can be done in so many seconds."""
        self._until = self.seconds + seconds
        self.run_forever()

    def act(self, what: Callable[[], object], seconds: float = 0.0) -> None:
        """Call something within the loop, and do everything that comes of it in so many seconds."""
        self.call_soon(what)
        self.rest(seconds)

    def finish(self, work: Coroutine[Any, Any, T], seconds: float = 0.0) -> T:
        """Do something to its end, which comes within so many seconds."""
        task = self.create_task(work)
        self.rest(seconds)
        if not task.done():
            task.cancel()
            self.rest()
            raise AssertionError("it does not come to an end")
        return task.result()

    def end(self) -> None:
        """Cancel what is left."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.rest()
        self.close()
