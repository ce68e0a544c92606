"""Tasks are ended even if a cancellation is lost, and waits for tasks that never end are bounded."""

import asyncio

import pytest

from parley.shared import cancellation
from parley.shared.cancellation import end, together, within

SOON, LATE = 0.01, 10.0


async def ignore_cancellations(times: int) -> None:
    """Ignore this many cancellations."""
    for _ in range(times):
        try:
            await asyncio.sleep(LATE)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(LATE)


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "REPEAT_SECONDS", SOON)
    task = asyncio.create_task(ignore_cancellations(2))
    await asyncio.sleep(0)

    async with asyncio.timeout(LATE / 2):
        await end([task])

    assert task.cancelled()


async def test_work_that_takes_too_long_is_left_where_it_stands() -> None:
    async with asyncio.timeout(LATE / 2):
        with pytest.raises(TimeoutError, match=r"^ignore_cancellations:\d+ > sleep:\d+$"):
            await within(SOON, ignore_cancellations(1))


async def test_the_outcome_of_the_work_is_passed_on() -> None:
    async def good() -> int:
        return 1

    async def bad() -> None:
        raise ValueError("no")

    assert await within(LATE, good()) == 1
    with pytest.raises(ValueError, match="no"):
        await within(LATE, bad())


async def test_work_that_was_cancelled_from_within_does_not_cancel_who_waits() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(ConnectionError):
        await within(LATE, cancelled())


async def test_work_beside_a_failure_is_ended() -> None:
    ended = asyncio.Event()

    async def beside() -> None:
        try:
            await asyncio.sleep(LATE)
        finally:
            ended.set()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        await together([beside(), fail()])
    assert ended.is_set()


async def test_the_results_of_work_that_runs_together_keep_their_order() -> None:
    assert await together(asyncio.sleep(SOON * late, late) for late in (1, 0)) == [1, 0]
