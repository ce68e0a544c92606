"""Heartbeats of Engine.IO: pings, and the end of clients that answer none, by one timer for all sessions.

The protocol: https://socket.io/docs/v4/engine-io-protocol/#heartbeat.
python-engineio has a task for each client.
"""

import asyncio
from math import ceil
from typing import Protocol

TICKS = 50
"""Ticks in the shorter of the two times: a ping, or a timeout, is late by one at most."""
LONGEST_TICK = 1.0
EARLY_SECONDS = 0.002
"""How much too early a timer may fire: uvloop counts milliseconds."""
AT_ONCE = 250
"""Sessions that are handled in one turn of the event loop: thousands may have connected in one second."""


class Pinged(Protocol):
    """A session with heartbeats. `tick` is the tick at which it is looked at next, 0 if it is not."""

    tick: int
    awaits_pong: bool

    def ping(self) -> None:
        """Send a ping."""

    def miss_pong(self) -> None:
        """Handle that the client has not answered a ping in time."""


class Heartbeats:
    """A timer wheel: sessions by the tick at which a ping is due, or its answer.

    Args:
        interval: seconds from a client's answer to the next ping.
        timeout: seconds that a client has for its answer.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._tick_seconds = min(LONGEST_TICK, interval / TICKS, timeout / TICKS)
        self._interval = interval
        self._timeout = timeout
        self._sessions: dict[int, set[Pinged]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_tick = 0

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))

    def schedule_ping(self, session: Pinged) -> None:
        """Ping a session after the interval. Does nothing if that is so already."""
        if session.tick == 0 or session.awaits_pong:
            session.awaits_pong = False
            self._move(session, self._interval)

    def stop(self, session: Pinged) -> None:
        """Forget a session that has closed."""
        sessions = self._sessions.get(session.tick)
        if sessions is not None:
            sessions.discard(session)
        session.tick = 0

    def _move(self, session: Pinged, seconds: float) -> None:
        self.stop(session)
        session.tick = ceil((asyncio.get_running_loop().time() + seconds) / self._tick_seconds)
        self._sessions.setdefault(session.tick, set()).add(session)
        if self._timer is None or session.tick < self._timer_tick:
            self._start_timer(session.tick)

    def _start_timer(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_tick = tick
        self._timer = asyncio.get_running_loop().call_at(tick * self._tick_seconds, self._on_timer)

    def _on_timer(self) -> None:
        """Look at a part of the sessions that are due: after a delay several ticks are."""
        now = (asyncio.get_running_loop().time() + EARLY_SECONDS) / self._tick_seconds
        left = AT_ONCE
        try:
            for tick in sorted(tick for tick in self._sessions if tick <= now):
                left -= self._look_at(self._sessions[tick], left)
                if self._sessions[tick]:
                    break
                del self._sessions[tick]
        finally:
            self._timer = None
            if self._sessions:
                self._start_timer(min(self._sessions))

    def _look_at(self, sessions: set[Pinged], most: int) -> int:
        """Look at some sessions, and forget them; returns their number."""
        count = min(most, len(sessions))
        for _ in range(count):
            session = sessions.pop()
            session.tick = 0
            if session.awaits_pong:
                session.miss_pong()
            else:
                session.awaits_pong = True
                self._move(session, self._timeout)
                session.ping()
        return count
