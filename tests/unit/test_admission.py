"""More is accepted than can be stored for a moment only; then as much is refused as is too much."""

import asyncio
from dataclasses import dataclass, field

import pytest

from parley.gateway.core.errors import Overloaded, Unavailable
from parley.gateway.state.admission import FEW, WINDOW_SECONDS, AdmissionController
from parley.shared.model import Message, Person, new_id, now
from parley.shared.records import NewMessage, ReadMark, Record

TICK = 0.1


@dataclass
class Node:
    """A node whose conversations "0" and "1" are in two partitions, and what its broker holds of each."""

    now: float = 1_000.0
    within: float = 1.0
    queues: dict[str, list[str]] = field(default_factory=lambda: {"0": [], "1": []})
    flights: list["asyncio.Future[None]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.backlog = AdmissionController(self, int, 2, within=self.within, clock=lambda: self.now)

    def put(self, record: Record) -> "asyncio.Future[None]":
        self.queues[record.conversation_id].append(getattr(record, "id", ""))
        self.flights.append(asyncio.get_running_loop().create_future())
        return self.flights[-1]

    def say(self, conversation_id: str, times: int = 1) -> int:
        """Say something so often; how often it was accepted."""
        accepted = 0
        for _ in range(times):
            try:
                self.backlog.put(said(conversation_id))
                accepted += 1
            except Overloaded:
                pass
        return accepted

    def store(self, conversation_id: str, count: int) -> None:
        """The worker stores so many of those that wait longest, and they are heard of."""
        queue = self.queues[conversation_id]
        stored, queue[:] = queue[:count], queue[count:]
        for record_id in stored:
            self.backlog.settled(conversation_id, record_id)

    def go_on(self, seconds: float, said: int, stored: int) -> int:
        """Time passes, in which so much is said and at most so much is stored; how much was accepted."""
        accepted = 0
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.store("0", round(stored * TICK))
            accepted += self.say("0", round(said * TICK))
        return accepted


def said(conversation_id: str) -> NewMessage:
    ann = Person(id="ann")
    message = Message(
        id=new_id(), conversation_id=conversation_id, sender_id="ann", content="hello", created_at=now()
    )
    return NewMessage(id=new_id(), message=message, sender=ann)


def read(seq: int) -> ReadMark:
    return ReadMark(id=f"mark-{seq}", conversation_id="0", user_id="ann", seq=seq, message_id=None, at=now())


async def test_what_can_be_stored_is_accepted() -> None:
    assert Node().go_on(30, said=200, stored=200) == 30 * 200


async def test_a_burst_is_accepted_that_is_stored_soon_after() -> None:
    node = Node()
    node.go_on(5, said=50, stored=100)
    assert node.say("0", 20 * FEW) == 20 * FEW


async def test_of_twice_what_can_be_stored_about_half_is_refused_and_the_wait_stays_bounded() -> None:
    node = Node()
    node.go_on(10, said=400, stored=200)
    accepted = node.go_on(30, said=400, stored=200)
    assert accepted == pytest.approx(30 * 200, rel=0.1)
    assert len(node.backlog) < 3 * 200 * node.within


async def test_a_partition_that_is_in_time_refuses_nothing_for_one_that_is_late() -> None:
    node = Node()
    node.go_on(20, said=400, stored=200)
    assert node.say("0", 500) < 500
    assert node.say("1", 500) == 500


async def test_while_nothing_is_stored_at_all_everything_is_accepted_and_waits() -> None:
    node = Node()
    node.go_on(5, said=50, stored=100)
    node.now += WINDOW_SECONDS
    assert node.go_on(60, said=100, stored=0) == 60 * 100


async def test_a_short_outage_refuses_nothing() -> None:
    node = Node(within=5)
    node.go_on(20, said=100, stored=100)
    assert node.go_on(8, said=100, stored=0) == 8 * 100
    assert node.go_on(20, said=100, stored=400) == 20 * 100


async def test_batches_that_are_seconds_apart_are_slow_and_no_outage() -> None:
    node = Node()
    for _ in range(20):
        node.go_on(3, said=400, stored=0)
        node.store("0", 600)
    assert len(node.backlog) < 2 * 600


async def test_after_an_outage_what_is_usual_is_accepted_while_the_rest_is_made_up_for() -> None:
    node = Node()
    node.go_on(60, said=200, stored=0)
    assert node.go_on(20, said=200, stored=500) == 20 * 200


async def test_once_everything_is_stored_everything_is_accepted_again() -> None:
    node = Node()
    node.go_on(20, said=400, stored=100)
    node.go_on(20, said=0, stored=400)
    assert len(node.backlog) == 0
    assert node.go_on(10, said=100, stored=100) == 10 * 100


async def test_what_the_broker_does_not_take_does_not_wait() -> None:
    node = Node()
    node.say("0", 3)
    node.flights[1].set_exception(Unavailable("It is away."))
    node.flights[1].exception()
    await asyncio.sleep(0)
    assert len(node.backlog) == 2


async def test_what_was_stored_unheard_is_settled_by_what_comes_after_it() -> None:
    node = Node()
    node.say("0", 5)
    node.backlog.settled("0", node.queues["0"][3])
    assert len(node.backlog) == 1


async def test_marks_always_pass() -> None:
    node = Node()
    node.go_on(20, said=400, stored=200)
    for number in range(1_000):
        node.backlog.put(read(number))


async def test_a_record_waits_for_company_for_a_small_part_of_what_it_waits_anyway() -> None:
    node = Node()
    assert node.backlog.patience(0) == 0
    node.say("0")
    node.now += 1
    assert 0 < node.backlog.patience(0) < 0.1
    node.now += 60
    assert node.backlog.patience(0) == pytest.approx(0.1)
    node.store("0", 1)
    assert node.backlog.patience(0) == 0
