"""Items that share a future are handed over together when it is done."""

import asyncio
from collections.abc import Sequence

from parley.gateway.state.shared_futures import SharedFutures


class Outcomes:
    def __init__(self) -> None:
        self.found: list[tuple[str, list[int]]] = []
        self.futures: SharedFutures[int] = SharedFutures(self.note)

    def note(self, future: "asyncio.Future[None]", items: Sequence[int]) -> None:
        self.found.append(("failed" if future.exception() else "done", list(items)))


def future() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def test_each_future_calls_back_once_with_its_items_in_order() -> None:
    outcomes, one, other = Outcomes(), future(), future()
    for number, each in enumerate((one, other, one, one)):
        outcomes.futures.add(each, number)
    one.set_result(None)
    await asyncio.sleep(0)
    assert outcomes.found == [("done", [0, 2, 3])]

    other.set_exception(ValueError())
    await asyncio.sleep(0)

    assert outcomes.found[1:] == [("failed", [1])]


async def test_an_item_of_a_future_that_is_done_is_handed_over_too() -> None:
    outcomes, done = Outcomes(), future()
    done.set_result(None)
    outcomes.futures.add(done, 1)
    await asyncio.sleep(0)
    outcomes.futures.add(done, 2)
    await asyncio.sleep(0)
    assert outcomes.found == [("done", [1]), ("done", [2])]
