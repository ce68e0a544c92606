"""A bulkhead lets few in at a time; the others wait, and are refused in time."""

import asyncio
from contextlib import suppress

import pytest

from clients.chat import eventually
from parley.gateway.core.errors import Unavailable
from parley.gateway.state.bulkhead import Bulkhead


class Work:
    """Callers that stay inside until they are let out, in the order in which they came in."""

    def __init__(self, most: int, wait_seconds: float = 60.0, together: int = 1) -> None:
        self.bulkhead = Bulkhead(
            most, wait_seconds, lambda: Unavailable("There is too much to do."), together
        )
        self.inside: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._out: list[asyncio.Event] = []

    def begin(self, user_id: str | None = None) -> int:
        """Have one more caller come, by default another user; return its number."""
        number = len(self.tasks)
        self._out.append(asyncio.Event())
        self.tasks.append(asyncio.create_task(self._call(number, user_id or str(number))))
        return number

    async def end(self, number: int) -> None:
        """Let a caller out."""
        self._out[number].set()
        await self.tasks[number]

    async def _call(self, number: int, user_id: str) -> None:
        async with self.bulkhead.slot(user_id):
            self.inside.append(number)
            await self._out[number].wait()
            self.inside.remove(number)


async def test_few_are_in_at_a_time_and_the_others_follow_in_their_order() -> None:
    work = Work(most=2)
    for _ in range(5):
        work.begin()
    await eventually(lambda: work.inside == [0, 1])
    await work.end(1)
    await eventually(lambda: work.inside == [0, 2])
    await work.end(0)
    await eventually(lambda: work.inside == [2, 3])
    for number in (2, 3, 4):
        await work.end(number)
    assert not work.inside


async def test_waiting_users_are_let_in_together_when_enough_slots_are_free() -> None:
    work = Work(most=4, together=2)
    for _ in range(7):
        work.begin()
    await eventually(lambda: work.inside == [0, 1, 2, 3])
    await work.end(2)
    # One slot is free, but who comes now is behind those that wait.
    late = work.begin()
    await eventually(lambda: len(work.bulkhead) == 4)
    assert work.bulkhead.is_full
    await work.end(0)
    await eventually(lambda: work.inside == [1, 3, 4, 5])
    for number in (1, 3, 4, 5, 6, late):
        await work.end(number)
    assert not work.bulkhead.is_full


async def test_users_that_have_given_up_do_not_keep_slots_from_others() -> None:
    work = Work(most=2, wait_seconds=0.01, together=2)
    first, second, gone = work.begin(), work.begin(), work.begin()
    with pytest.raises(Unavailable):
        await work.tasks[gone]
    await work.end(first)
    await work.end(second)
    await work.end(work.begin())


async def test_a_user_is_in_once_at_a_time_and_keeps_no_other_from_coming_in() -> None:
    work = Work(most=2)
    first, second, other = work.begin("ann"), work.begin("ann"), work.begin("bob")
    await eventually(lambda: work.inside == [first, other])
    assert len(work.bulkhead) == 0
    await work.end(first)
    await eventually(lambda: work.inside == [other, second])
    for number in (other, second):
        await work.end(number)


async def test_one_who_waits_too_long_is_refused_and_the_slot_goes_to_the_next() -> None:
    work = Work(most=1, wait_seconds=0.01)
    first, late = work.begin(), work.begin()
    with pytest.raises(Unavailable):
        await work.tasks[late]
    assert len(work.bulkhead) == 0
    await work.end(first)
    await work.end(work.begin())


async def test_one_who_is_cancelled_while_waiting_takes_no_slot() -> None:
    work = Work(most=1)
    first, gone, last = work.begin(), work.begin(), work.begin()
    await eventually(lambda: work.inside == [first])
    work.tasks[gone].cancel()
    with suppress(asyncio.CancelledError):
        await work.tasks[gone]
    await work.end(first)
    await work.end(last)
    await work.end(work.begin())


async def test_one_who_is_cancelled_in_the_moment_of_the_turn_gives_the_slot_back() -> None:
    work = Work(most=1)
    async with work.bulkhead.slot("another"):
        gone, last = work.begin(), work.begin()
        await eventually(lambda: len(work.bulkhead) == 2)
    # The slot is given already, and its new holder has not run since.
    work.tasks[gone].cancel()
    with pytest.raises(asyncio.CancelledError):
        await work.tasks[gone]
    await work.end(last)


async def test_all_that_wait_can_be_refused_at_once() -> None:
    work = Work(most=1)
    first, others = work.begin(), [work.begin(), work.begin()]
    await eventually(lambda: work.inside == [first])
    work.bulkhead.turn_away()
    for other in others:
        with pytest.raises(Unavailable):
            await work.tasks[other]
    await work.end(first)
    await work.end(work.begin())
