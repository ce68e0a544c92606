"""When all upload slots are taken, a slow upload gives way to another user's."""

import asyncio
from collections.abc import Sequence

import pytest

from parley.gateway.core.errors import Overloaded
from parley.gateway.services.upload_slots import UploadSlot, UploadSlots

MIB = 1 << 20


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Uploads:
    """Uploads that run until they are ended, at four slots, two for each user."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.slots = UploadSlots(per_user=2, total=4, clock=self.clock)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, user_id: str) -> UploadSlot:
        """Start an upload; raises `Overloaded` if it gets no slot."""
        holding: asyncio.Future[UploadSlot] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(user_id, holding))
        self.tasks.append(task)
        await asyncio.wait([task, holding], return_when=asyncio.FIRST_COMPLETED)
        if not holding.done():
            holding.cancel()
            await task
        return holding.result()

    async def _run(self, user_id: str, holding: "asyncio.Future[UploadSlot]") -> None:
        async with self.slots.hold(user_id) as slot:
            holding.set_result(slot)
            await asyncio.Event().wait()

    async def ended(self) -> Sequence[BaseException | None]:
        """Return the exceptions of the uploads that have ended, once the loop is idle."""
        for _ in range(5):
            await asyncio.sleep(0)
        return [task.exception() for task in self.tasks if task.done()]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def uploads() -> Uploads:
    return Uploads()


async def test_the_slowest_upload_of_those_who_hold_more_gives_way(uploads: Uploads) -> None:
    held = [await uploads.start(user) for user in ("ann", "ann", "bob", "bob")]
    for slot, received in zip(held, (400, 100, 300, 200), strict=True):
        slot.received = received * MIB
    uploads.clock.now = 10

    await uploads.start("eve")

    (error,) = await uploads.ended()
    assert isinstance(error, Overloaded)
    assert error.retryable
    assert held[1].gave_way
    await uploads.stop()


async def test_many_users_with_slow_uploads_do_not_keep_others_out(uploads: Uploads) -> None:
    for user in ("ann", "bob", "cid", "dan"):
        (await uploads.start(user)).received = 1_000
    uploads.clock.now = 10

    await uploads.start("eve")

    assert len(await uploads.ended()) == 1
    await uploads.stop()


async def test_fast_uploads_of_users_with_one_slot_each_are_not_ended(uploads: Uploads) -> None:
    for user in ("ann", "bob", "cid", "dan"):
        (await uploads.start(user)).received = 10 * MIB
    uploads.clock.now = 10

    with pytest.raises(Overloaded):
        await uploads.start("eve")

    assert [e for e in await uploads.ended() if e is not None and "slow" in str(e)] == []
    await uploads.stop()


async def test_an_upload_that_has_just_begun_is_not_ended(uploads: Uploads) -> None:
    for user in ("ann", "ann", "bob", "bob"):
        await uploads.start(user)
    uploads.clock.now = 1

    with pytest.raises(Overloaded):
        await uploads.start("eve")

    await uploads.stop()


async def test_a_user_gains_no_slot_from_those_who_hold_as_many(uploads: Uploads) -> None:
    for user in ("ann", "ann", "bob", "eve"):
        await uploads.start(user)
    uploads.clock.now = 10

    await uploads.start("eve")

    (ended,) = [task for task in uploads.tasks if task.done()]
    assert ended in uploads.tasks[:2]
    await uploads.stop()


async def test_a_user_has_so_many_slots(uploads: Uploads) -> None:
    await uploads.start("ann")
    await uploads.start("ann")

    with pytest.raises(Overloaded):
        await uploads.start("ann")

    await uploads.stop()


async def test_a_time_out_of_the_upload_itself_is_not_taken_for_giving_way(uploads: Uploads) -> None:
    with pytest.raises(TimeoutError):
        async with uploads.slots.hold("ann"):
            raise TimeoutError
