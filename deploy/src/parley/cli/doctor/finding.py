"""A finding: the outcome of one check of the doctor, in a sentence that says how to go on."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Level = Literal["ok", "warning", "error"]

CLOCK_SECONDS = 2.0
"""A difference of clocks that is worth a warning: order and counts do not depend on clocks, times do."""
SLOW_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding; `check` is a word by which programs tell findings apart."""

    server: str
    check: str
    level: Level
    text: str


@dataclass(frozen=True)
class Findings:
    """Makes the findings of one server."""

    server: str

    def ok(self, check: str, text: str) -> Finding:
        return Finding(server=self.server, check=check, level="ok", text=text)

    def warning(self, check: str, text: str) -> Finding:
        return Finding(server=self.server, check=check, level="warning", text=text)

    def error(self, check: str, text: str) -> Finding:
        return Finding(server=self.server, check=check, level="error", text=text)

    def clock(
        self, theirs: datetime | float, precision: float = 0.0, received_at: float | None = None
    ) -> Finding:
        """Compare a server's clock with this machine's.

        Args:
            theirs: The server's time.
            precision: Seconds by which it is coarse.
            received_at: This machine's time when it came, Unix time in seconds; by default that of now.
        """
        at = theirs.timestamp() if isinstance(theirs, datetime) else theirs
        difference = at - (time.time() if received_at is None else received_at)
        if abs(difference) <= CLOCK_SECONDS + precision:
            return self.ok("clock", "Its clock agrees with this machine's.")
        ahead = "ahead of" if difference > 0 else "behind"
        return self.warning(
            "clock",
            f"Its clock is {abs(difference):,.0f} s {ahead} this machine's: have both follow the same time "
            "server (order and counts do not depend on it, the times of messages do).",
        )

    def speed(self, seconds: float, action: str) -> Finding:
        """Judge the time of a small write."""
        if seconds <= SLOW_SECONDS:
            return self.ok("speed", f"{action} took {seconds * 1000:.0f} ms.")
        return self.warning(
            "speed", f"{action} took {seconds:.1f} s: look for a slow disk, or a server that is overloaded."
        )
