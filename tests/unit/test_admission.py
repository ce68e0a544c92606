"""Admission control: only messages that a worker can store by the deadline are admitted."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from parley.gateway.core.errors import ChatError, Overloaded, Unavailable
from parley.gateway.state.admission import AdmissionController
from parley.gateway.state.partition_windows import ALWAYS_ADMITTED, WINDOW_SECONDS, PartitionWindows
from parley.gateway.state.pending_limit import MAX_RETRY_SECONDS, MIN_RETRY_SECONDS
from parley.shared.model import Message, Person, new_id, now
from parley.shared.records import Change, Deletion, Edit, NewMessage, ReadMark, Record

TICK = 0.1


@dataclass
class Node:
    """A node with conversations "0" and "1" in two partitions, and the broker's queue of each."""

    now: float = 1_000.0
    deadline: float = 1.0
    queues: dict[str, list[str]] = field(default_factory=lambda: {"0": [], "1": []})
    confirms: list["asyncio.Future[None]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.windows = PartitionWindows(2, self.deadline, clock=lambda: self.now)
        self.outage: ChatError | None = None
        self.admission = AdmissionController(self, int, self.windows, outage=lambda _partition: self.outage)

    def put(self, record: Record) -> "asyncio.Future[None]":
        self.queues[record.conversation_id].append(getattr(record, "id", ""))
        self.confirms.append(asyncio.get_running_loop().create_future())
        return self.confirms[-1]

    def send(self, conversation_id: str, times: int = 1) -> int:
        """Send messages; return how many were admitted."""
        admitted = 0
        for _ in range(times):
            try:
                self.admission.put(new_message(conversation_id))
                admitted += 1
            except Overloaded:
                pass
        return admitted

    def store(self, conversation_id: str, count: int) -> None:
        """Store the messages that have waited longest, and confirm them."""
        queue = self.queues[conversation_id]
        stored, queue[:] = queue[:count], queue[count:]
        for record_id in stored:
            self.admission.confirm(conversation_id, record_id)

    def run(self, seconds: float, sent: int, stored: int) -> int:
        """Let time pass; return how many messages were admitted.

        Args:
            seconds: How long.
            sent: Messages sent per second.
            stored: Messages stored per second, at most.
        """
        admitted = 0
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.store("0", round(stored * TICK))
            admitted += self.send("0", round(sent * TICK))
        return admitted


def new_message(conversation_id: str) -> NewMessage:
    ann = Person(id="ann")
    message = Message(
        id=new_id(), conversation_id=conversation_id, sender_id="ann", content="hello", created_at=now()
    )
    return NewMessage(id=new_id(), message=message, sender=ann)


def edit(conversation_id: str) -> Edit:
    return Edit(
        id=new_id(),
        conversation_id=conversation_id,
        message_id="m",
        user=Person(id="ann"),
        content="better",
        at=now(),
    )


def deletion(conversation_id: str) -> Deletion:
    return Deletion(id=new_id(), conversation_id=conversation_id, message_id="m", user_id="ann", at=now())


def read(seq: int) -> ReadMark:
    return ReadMark(id=f"mark-{seq}", conversation_id="0", user_id="ann", seq=seq, message_id=None, at=now())


async def test_messages_within_the_throughput_are_admitted() -> None:
    assert Node().run(30, sent=200, stored=200) == 30 * 200


async def test_a_burst_is_admitted() -> None:
    node = Node()
    node.run(5, sent=50, stored=100)
    assert node.send("0", 20 * ALWAYS_ADMITTED) == 20 * ALWAYS_ADMITTED


async def test_twice_the_throughput_is_refused_by_half_and_the_wait_stays_bounded() -> None:
    node = Node()
    node.run(10, sent=400, stored=200)
    admitted = node.run(30, sent=400, stored=200)
    assert admitted == pytest.approx(30 * 200, rel=0.1)
    assert len(node.admission) < 3 * 200 * node.deadline


async def test_a_late_partition_does_not_make_another_partition_refuse() -> None:
    node = Node()
    node.run(20, sent=400, stored=200)
    assert node.send("0", 500) < 500
    assert node.send("1", 500) == 500


async def test_an_outage_of_the_store_refuses_nothing() -> None:
    node = Node()
    node.run(5, sent=50, stored=100)
    node.now += WINDOW_SECONDS
    assert node.run(60, sent=100, stored=0) == 60 * 100


async def test_a_short_outage_and_the_catching_up_after_it_refuse_nothing() -> None:
    node = Node(deadline=5)
    node.run(20, sent=100, stored=100)
    assert node.run(8, sent=100, stored=0) == 8 * 100
    assert node.run(20, sent=100, stored=400) == 20 * 100


async def test_batches_seconds_apart_are_slow_storage_and_not_an_outage() -> None:
    node = Node()
    for _ in range(20):
        node.run(3, sent=400, stored=0)
        node.store("0", 600)
    assert len(node.admission) < 2 * 600


async def test_after_a_long_outage_the_usual_load_is_admitted_during_the_catching_up() -> None:
    node = Node()
    node.run(60, sent=200, stored=0)
    assert node.run(20, sent=200, stored=500) == 20 * 200


async def test_an_emptied_queue_ends_the_refusals() -> None:
    node = Node()
    node.run(20, sent=400, stored=100)
    node.run(20, sent=0, stored=400)
    assert len(node.admission) == 0
    assert node.run(10, sent=100, stored=100) == 10 * 100


async def test_a_message_that_the_broker_does_not_take_is_not_tracked() -> None:
    node = Node()
    node.send("0", 3)
    node.confirms[1].set_exception(Unavailable("The broker is away."))
    node.confirms[1].exception()
    await asyncio.sleep(0)
    assert len(node.admission) == 2


async def test_a_confirmation_confirms_all_earlier_messages_of_the_partition() -> None:
    node = Node()
    node.send("0", 5)
    node.admission.confirm("0", node.queues["0"][3])
    assert len(node.admission) == 1


async def test_the_refusal_of_a_late_partition_has_a_retry_time() -> None:
    node = Node()
    node.run(20, sent=1_000, stored=200)
    node.send("0", 1_000)
    with pytest.raises(Overloaded) as refused:
        node.admission.put(new_message("0"))
    assert refused.value.retry_after is not None
    assert MIN_RETRY_SECONDS <= refused.value.retry_after <= MAX_RETRY_SECONDS


async def test_the_refusal_is_known_before_a_message_is_put() -> None:
    node = Node()
    assert node.admission.refusal("0") is None
    node.run(20, sent=1_000, stored=200)
    node.send("0", 1_000)
    assert node.admission.refusal("0") is not None
    assert node.admission.refusal("1") is None


async def test_asking_for_the_refusal_admits_nothing() -> None:
    node = Node()
    node.run(20, sent=400, stored=200)
    node.now += TICK
    assert node.admission.refusal("0") is None
    waiting = len(node.admission)
    for _ in range(100):
        node.admission.refusal("0")
    assert len(node.admission) == waiting
    assert node.send("0") == 1


@pytest.mark.parametrize("make", [edit, deletion])
async def test_changes_are_admitted_as_messages_are(make: Callable[[str], Change]) -> None:
    node = Node()
    node.run(20, sent=400, stored=200)
    refused = 0
    for _ in range(200):
        try:
            node.admission.put(make("0"))
        except Overloaded:
            refused += 1
    assert refused > 100

    idle = Node()
    idle.admission.put(make("0"))
    assert len(idle.admission) == 1
    idle.store("0", 1)
    assert len(idle.admission) == 0


async def test_read_marks_are_always_admitted() -> None:
    node = Node()
    node.run(20, sent=400, stored=200)
    for number in range(1_000):
        node.admission.put(read(number))


async def test_a_batch_lingers_for_a_small_part_of_the_wait_of_the_oldest_message() -> None:
    node = Node()
    assert node.windows.linger(0) == 0
    node.send("0")
    node.now += 1
    assert 0 < node.windows.linger(0) < 0.1
    node.now += 60
    assert node.windows.linger(0) == pytest.approx(0.1)
    node.store("0", 1)
    assert node.windows.linger(0) == 0


async def test_a_message_is_refused_early_while_the_outbox_refuses_its_partition() -> None:
    node = Node()
    assert node.admission.refusal("0") is None
    node.outage = Unavailable("away")
    assert node.admission.refusal("0") is node.outage
