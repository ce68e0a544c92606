"""One timer pings all sessions, and finds those that do not answer."""

import asyncio
import time
from collections import Counter

import pytest

from clients.chat import eventually
from parley.gateway.transport import heartbeats as module
from parley.gateway.transport.heartbeats import Heartbeats

INTERVAL, TIMEOUT = 0.1, 0.15


class Session:
    """A session that records when it was pinged, and when it missed a pong."""

    def __init__(self) -> None:
        self.tick = 0
        self.awaits_pong = False
        self.pings: list[float] = []
        self.missed: list[float] = []

    def ping(self) -> None:
        self.pings.append(asyncio.get_running_loop().time())

    def miss_pong(self) -> None:
        self.missed.append(asyncio.get_running_loop().time())


@pytest.fixture
def wheel() -> Heartbeats:
    return Heartbeats(INTERVAL, TIMEOUT)


async def test_a_session_is_pinged_after_the_interval_and_missed_after_the_timeout(wheel: Heartbeats) -> None:
    session, began = Session(), asyncio.get_running_loop().time()
    wheel.schedule_ping(session)

    await eventually(lambda: session.missed)

    assert len(session.pings) == 1
    assert session.pings[0] - began >= INTERVAL - module.EARLY_SECONDS
    assert session.missed[0] - session.pings[0] >= TIMEOUT - INTERVAL / module.TICKS - module.EARLY_SECONDS
    assert len(wheel) == 0


async def test_a_session_that_answers_is_pinged_again_and_again(wheel: Heartbeats) -> None:
    session = Session()
    wheel.schedule_ping(session)
    for count in (1, 2, 3):
        await eventually(lambda count=count: len(session.pings) == count)
        wheel.schedule_ping(session)
    assert not session.missed
    assert len(wheel) == 1


async def test_an_answer_without_a_ping_postpones_nothing() -> None:
    wheel, session = Heartbeats(30.0, TIMEOUT), Session()
    wheel.schedule_ping(session)
    due, later = session.tick, Session()

    def a_tick_has_passed() -> bool:
        wheel.stop(later)
        wheel.schedule_ping(later)
        return later.tick > due

    await eventually(a_tick_has_passed)

    wheel.schedule_ping(session)

    assert session.tick == due


async def test_a_stopped_session_is_forgotten(wheel: Heartbeats) -> None:
    stopped, other = Session(), Session()
    wheel.schedule_ping(stopped)
    wheel.schedule_ping(other)
    wheel.stop(stopped)
    wheel.stop(stopped)

    await eventually(lambda: other.pings)

    assert not stopped.pings
    assert len(wheel) == 1


async def test_an_earlier_time_than_the_one_that_is_waited_for_is_kept() -> None:
    wheel = Heartbeats(0.05, 30.0)
    answering, silent = Session(), Session()
    wheel.schedule_ping(answering)
    wheel.schedule_ping(silent)
    await eventually(lambda: answering.pings and silent.pings)

    wheel.schedule_ping(answering)

    await eventually(lambda: len(answering.pings) == 2)
    assert not silent.missed


def block_loop(seconds: float) -> None:
    """Do what busy code does: the event loop stands still."""
    time.sleep(seconds)


async def test_many_sessions_are_pinged_in_several_turns_also_after_a_delay(
    wheel: Heartbeats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 10)
    turn, pings = 0, Counter[int]()

    class Counting(Session):
        def ping(self) -> None:
            pings[turn] += 1

    for _ in range(5):
        for _ in range(7):
            wheel.schedule_ping(Counting())
        # The sessions are of several ticks, all of which are due when the loop goes on.
        block_loop(INTERVAL / 4)
    block_loop(INTERVAL)
    async with asyncio.timeout(5):
        while pings.total() < 35:
            await asyncio.sleep(0)
            turn += 1

    assert max(pings.values()) <= 10
    assert pings.total() == 35


async def test_a_session_that_fails_does_not_stop_the_others(wheel: Heartbeats) -> None:
    class Failing(Session):
        def ping(self) -> None:
            raise ConnectionError

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    failing, other = Failing(), Session()
    wheel.schedule_ping(failing)
    wheel.schedule_ping(other)

    await eventually(lambda: other.pings)
