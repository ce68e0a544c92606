"""Calls at the same time share a batch, and a batch can wait for more of them."""

import asyncio
from collections.abc import Sequence

from clients.chat import eventually
from parley.gateway.adapters.call_batches import CallBatches
from parley.gateway.background import Background


class Squares:
    """Batches of squares; each ends when it is let."""

    def __init__(self) -> None:
        self.batches = CallBatches(self._run, Background().spawn)
        self.run: list[list[int]] = []
        self.let = asyncio.Event()

    async def _run(self, values: Sequence[int]) -> list[int]:
        self.run.append(list(values))
        await self.let.wait()
        return [value * value for value in values]


async def test_calls_that_come_while_a_batch_runs_share_the_next() -> None:
    squares = Squares()
    calls = [asyncio.create_task(squares.batches.call(1))]
    await eventually(lambda: squares.run == [[1]])
    calls += [asyncio.create_task(squares.batches.call(value)) for value in (2, 3)]
    await asyncio.sleep(0)
    squares.let.set()
    assert await asyncio.gather(*calls) == [1, 4, 9]
    assert squares.run == [[1], [2, 3]]


async def test_a_batch_waits_for_more_calls_during_the_linger() -> None:
    squares, seconds = Squares(), [0.05]
    squares.let.set()
    squares.batches.linger = lambda: seconds[0]
    first = asyncio.create_task(squares.batches.call(1))
    await asyncio.sleep(0.01)
    assert await asyncio.gather(first, squares.batches.call(2)) == [1, 4]
    assert squares.run == [[1, 2]]

    seconds[0] = 0.0
    assert await squares.batches.call(3) == 9
    assert squares.run == [[1, 2], [3]]
