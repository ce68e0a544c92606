"""New sessions pass in order, some in each round, and none waits without need."""

import asyncio

import pytest

from clients.chat import eventually
from parley.gateway.transport import pacing as module
from parley.gateway.transport.pacing import Pacing


@pytest.fixture(autouse=True)
def long_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    monkeypatch.setattr(module, "ROUND_SECONDS", 0.05)


async def test_the_first_ones_pass_at_once() -> None:
    pacing = Pacing()
    async with asyncio.timeout(0.04):
        for _ in range(3):
            await pacing.wait()
    assert len(pacing) == 0


async def test_many_pass_in_order_some_in_each_round() -> None:
    pacing, passed = Pacing(), []
    rounds: list[int] = []

    async def enter(number: int) -> None:
        await pacing.wait()
        passed.append(number)

    entering = [asyncio.create_task(enter(number)) for number in range(8)]
    while not all(task.done() for task in entering):
        before = len(passed)
        await asyncio.sleep(0)
        if len(passed) > before:
            rounds.append(len(passed) - before)

    assert passed == list(range(8))
    assert rounds == [3, 3, 2]


async def test_one_that_gives_up_takes_no_place() -> None:
    pacing = Pacing()
    for _ in range(3):
        await pacing.wait()
    waiting = [asyncio.create_task(pacing.wait()) for _ in range(4)]
    await asyncio.sleep(0)
    assert len(pacing) == 4

    waiting[0].cancel()

    await asyncio.wait(waiting[1:], timeout=5, return_when=asyncio.FIRST_COMPLETED)
    await eventually(lambda: all(task.done() for task in waiting))
    assert len(pacing) == 0


async def test_a_round_after_a_quiet_time_begins_at_once() -> None:
    pacing = Pacing()
    for _ in range(2):
        async with asyncio.timeout(5):
            for _ in range(4):
                await pacing.wait()
        await asyncio.sleep(2 * module.ROUND_SECONDS)
    async with asyncio.timeout(0.04):
        await pacing.wait()


async def test_nobody_passes_while_those_who_have_passed_wait() -> None:
    pacing, is_busy = Pacing(), [True]
    pacing.is_busy = lambda: is_busy[0]
    passed: list[int] = []
    for number in range(4):
        pacing.call(lambda number=number: passed.append(number))  # type: ignore[misc]
    await asyncio.sleep(2 * module.ROUND_SECONDS)
    assert len(pacing) == 4

    is_busy[0] = False
    # One who comes now is behind those that wait.
    pacing.call(lambda: passed.append(4))
    await eventually(lambda: passed == [0, 1, 2, 3, 4])
