"""A partition's queue in the outbox: its age, and when it takes no more."""

from parley.gateway.adapters.rabbitmq.partition_queue import BATCH_CHARACTERS, BATCH_RECORDS, PartitionQueue
from parley.shared.model import Person, new_id, now
from parley.shared.records import DeliveredMark, Edit


def mark() -> DeliveredMark:
    return DeliveredMark(id=new_id(), conversation_id="c", user_id="ann", seq=1, at=now())


def edit(content: str) -> Edit:
    return Edit(
        id=new_id(),
        conversation_id="c",
        message_id="m",
        user=Person(id="ann"),
        content=content,
        at=now(),
    )


async def test_an_empty_queue_has_no_age() -> None:
    assert PartitionQueue().age() == 0


async def test_the_age_is_that_of_the_published_batch_before_those_that_wait() -> None:
    queue = PartitionQueue()
    queue.add(mark()).deadline -= 1
    queue.published = queue.waiting.popleft()
    queue.add(mark())
    assert 1 <= queue.age() < 1.5
    queue.published = None
    assert queue.age() < 0.5


async def test_a_full_batch_is_followed_by_another() -> None:
    queue = PartitionQueue()
    batches = {id(queue.add(mark())) for _ in range(BATCH_RECORDS + 1)}
    assert len(batches) == len(queue.waiting) == 2
    assert queue.unconfirmed == BATCH_RECORDS + 1


async def test_a_batch_of_long_edits_is_full_as_one_of_long_messages() -> None:
    queue = PartitionQueue()
    for _ in range(BATCH_CHARACTERS // 8_000 + 2):
        queue.add(edit("x" * 8_000))
    assert len(queue.waiting) == 2


async def test_a_stalled_queue_takes_one_record_at_a_time() -> None:
    queue = PartitionQueue()
    queue.add(mark())
    assert not queue.refuses()
    queue.is_stalled = True
    assert queue.refuses()
    queue.unconfirmed = 0
    assert not queue.refuses()
