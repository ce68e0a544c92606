"""Records of the outbox whose turn comes too late, on a real RabbitMQ."""

import asyncio

import pytest

from clients.chat import eventually
from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.gateway.adapters.rabbitmq.partition_queue import CONFIRM_SECONDS
from parley.gateway.core.errors import Overloaded
from parley.shared.model import new_id, now
from parley.shared.partitions import Partitions
from parley.shared.records import DeliveredMark
from parley.stack import Stack


def mark() -> DeliveredMark:
    return DeliveredMark(id=new_id(), conversation_id="none", user_id="ann", seq=1, at=now())


async def test_a_record_whose_turn_comes_too_late_is_refused_as_overload_and_the_next_one_is_taken(
    stack: Stack,
) -> None:
    outbox = RabbitOutbox(
        stack.rabbitmq_url, Partitions(8), limit=10, name="test", linger=lambda _partition: CONFIRM_SECONDS
    )
    outbox.start()
    await eventually(lambda: outbox.connected)

    first = outbox.put(mark())
    # The first batch is being published, so this one lingers, for as long as a record may wait.
    await asyncio.sleep(0)
    late = outbox.put(mark())

    await first
    with pytest.raises(Overloaded) as caught:
        await asyncio.wait_for(late, 2 * CONFIRM_SECONDS)
    assert caught.value.retry_after
    await asyncio.wait_for(outbox.put(mark()), CONFIRM_SECONDS)
    assert outbox.waiting == 0
    await outbox.stop()
