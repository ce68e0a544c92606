"""The batches of several partitions are persisted together, one group at a time, and fail one by one."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from parley.persistence_worker import group_commit
from parley.persistence_worker.group_commit import GroupCommit, RecentRate
from parley.persistence_worker.ports import StoreUnavailable
from parley.shared.model import now
from parley.shared.records import DeliveredMark, Record


def record(name: str) -> Record:
    return DeliveredMark(id=name, conversation_id="c", user_id="u", seq=1, at=now())


class Persister:
    """Notes what it is given, and waits or fails as it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.poison: Callable[[str], Exception | None] = lambda _names: None

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None:
        names = "".join(each.id for each in records)
        self.calls.append((names, redelivered))
        await self.may_go_on.wait()
        error = self.poison(names)
        if error is not None:
            raise error


@pytest.fixture(autouse=True)
def no_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "LINGER_SECONDS", 0.0)


def put(group: GroupCommit, names: str, *, redelivered: bool = False) -> "asyncio.Task[None]":
    return asyncio.create_task(group.persist([record(name) for name in names], redelivered=redelivered))


async def settled(*tasks: "asyncio.Task[None]") -> list[BaseException | None]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_batches_that_wait_are_persisted_together_in_order() -> None:
    persister = Persister()
    group = GroupCommit(persister)
    persister.may_go_on.clear()
    first = put(group, "a")
    await asyncio.sleep(0.01)
    rest = [put(group, "bc"), put(group, "d", redelivered=True), put(group, "e")]
    await asyncio.sleep(0.01)
    persister.may_go_on.set()

    assert await settled(first, *rest) == [None] * 4
    assert persister.calls == [("a", False), ("bcde", True)]


async def test_a_group_ends_at_the_limit_of_records() -> None:
    persister = Persister()
    group = GroupCommit(persister, limit=3)
    await settled(*(put(group, names) for names in ("ab", "cd", "e", "f")))

    assert [names for names, _ in persister.calls] == ["abcd", "ef"]


async def test_an_outage_reaches_all_of_the_group() -> None:
    persister = Persister()
    persister.poison = lambda _names: StoreUnavailable("away")
    group = GroupCommit(persister)

    outcomes = await settled(put(group, "a"), put(group, "b"))

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
    assert persister.calls == [("ab", False)]


async def test_an_outage_ends_the_wait_of_later_batches() -> None:
    persister = Persister()
    persister.poison = lambda _names: StoreUnavailable("away")
    group = GroupCommit(persister)
    persister.may_go_on.clear()
    first = put(group, "a")
    await asyncio.sleep(0.01)
    second = put(group, "b")
    await asyncio.sleep(0.01)
    persister.may_go_on.set()

    outcomes = await settled(first, second)

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
    assert persister.calls == [("a", False)]


async def test_a_faulty_record_fails_its_own_partition_only() -> None:
    persister = Persister()
    persister.poison = lambda names: ValueError(names) if "b" in names else None
    group = GroupCommit(persister)

    outcomes = await settled(put(group, "a"), put(group, "b"), put(group, "c"))

    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    assert persister.calls == [("abc", False), ("a", True), ("b", True), ("c", True)]


async def test_a_turn_comes_when_no_group_is_being_persisted() -> None:
    persister = Persister()
    group = GroupCommit(persister)
    await group.turn()
    persister.may_go_on.clear()
    first = put(group, "a")
    await asyncio.sleep(0.01)
    arrived = {"b": "b", "c": "c"}

    async def gather(name: str) -> None:
        await group.turn()
        await group.persist([record(each) for each in arrived[name]])

    gathering = [asyncio.create_task(gather(name)) for name in arrived]
    await asyncio.sleep(0.01)
    arrived["c"] += "d"
    persister.may_go_on.set()
    await asyncio.gather(first, *gathering)

    assert [names for names, _ in persister.calls] == ["a", "bcd"]


async def test_a_partition_that_is_lost_leaves_the_others_undisturbed() -> None:
    persister = Persister()
    group = GroupCommit(persister)
    persister.may_go_on.clear()
    lost, kept = put(group, "a"), put(group, "b")
    await asyncio.sleep(0.01)

    lost.cancel()
    persister.may_go_on.set()

    assert isinstance((await settled(lost))[0], asyncio.CancelledError)
    assert await settled(kept, put(group, "c")) == [None, None]


def test_records_that_come_together_after_a_pause_are_no_high_rate() -> None:
    rate = RecentRate()
    rate.add(1, 60.0)
    assert rate.add(9, 0.004) < 150


def test_a_rate_is_known_after_a_second() -> None:
    rate = RecentRate()
    rate.add(1, 60.0)
    for _ in range(250):
        measured = rate.add(8, 0.004)
    assert 1_800 < measured < 2_100


def test_a_rate_of_before_a_pause_is_forgotten() -> None:
    rate = RecentRate()
    for _ in range(250):
        rate.add(8, 0.004)
    assert rate.add(1, 1.0) < 50


async def test_a_group_right_behind_another_one_is_followed_by_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "LINGER_SECONDS", 10.0)
    monkeypatch.setattr(group_commit, "MAX_LINGER_SECONDS", 60.0)
    persister = Persister()
    group = GroupCommit(persister)
    await put(group, "a")
    await put(group, "b")
    waiting = put(group, "c")
    await asyncio.sleep(0.01)

    assert [names for names, _ in persister.calls] == ["a", "b"]
    waiting.cancel()
