"""Background coroutines run in order, no more than a number at once, and each of them does."""

import asyncio

from clients.chat import eventually
from parley.gateway.transport.bounded_tasks import BoundedTasks


async def test_no_more_than_the_bound_run_at_once_and_all_do() -> None:
    tasks, gate = BoundedTasks(3), asyncio.Event()
    running: list[int] = []
    most = 0

    async def work(number: int) -> None:
        nonlocal most
        running.append(number)
        await gate.wait()
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.remove(number)
        ended.append(number)

    ended: list[int] = []
    for number in range(10):
        tasks.run(lambda number=number: work(number))
    await eventually(lambda: running == [0, 1, 2])

    gate.set()
    await tasks.wait(5)

    assert most == 3
    assert ended == list(range(10))


async def test_one_that_fails_does_not_hold_up_the_others() -> None:
    tasks, ended = BoundedTasks(1), []

    async def fail() -> None:
        raise ConnectionError

    async def succeed() -> None:
        ended.append(True)

    tasks.run(fail)
    tasks.run(succeed)
    await tasks.wait(5)

    assert ended == [True]


async def test_waiting_ends_after_its_time() -> None:
    tasks = BoundedTasks(1)
    tasks.run(lambda: asyncio.sleep(60))

    async with asyncio.timeout(5):
        await tasks.wait(0.01)
