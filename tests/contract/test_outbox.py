"""Records of the outbox whose turn comes too late, on a real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from clients.chat import eventually
from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.gateway.adapters.rabbitmq.partition_queue import CONFIRM_SECONDS
from parley.gateway.core.errors import Overloaded, Unavailable
from parley.shared.model import new_id, now
from parley.shared.partitions import Partitions
from parley.shared.records import DeliveredMark
from parley.stack import Stack


@asynccontextmanager
async def suspended_channels(stack: Stack, name: str) -> AsyncIterator[None]:
    """Stop the broker's channels of a gateway's connection, as if they asked a node that is frozen."""
    connection = "[{connection, C}] <- [rabbit_channel:info(P, [connection])]"
    properties = "[{client_properties, L}] <- [rabbit_networking:connection_info(C, [client_properties])]"
    named = f'lists:member({{<<"connection_name">>, longstr, <<"parley gateway {name}">>}}, L)'
    channels = f"[P || P <- rabbit_channel:list_local(), {connection}, {properties}, {named}]"
    suspend = f"Ps = {channels}, persistent_term:put(suspended, Ps), [sys:suspend(P) || P <- Ps]."
    await asyncio.to_thread(stack.rabbitmqctl, "eval", suspend)
    try:
        yield
    finally:
        resume = "[sys:resume(P) || P <- persistent_term:get(suspended)]."
        await asyncio.to_thread(stack.rabbitmqctl, "eval", resume)


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


async def test_a_channel_that_has_confirmed_nothing_in_time_is_replaced(stack: Stack) -> None:
    outbox = RabbitOutbox(stack.rabbitmq_url, Partitions(8), limit=10, name="fresh")
    outbox.start()
    await eventually(lambda: outbox.connected)

    async with suspended_channels(stack, "fresh"):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(outbox.put(mark()), 2 * CONFIRM_SECONDS)
        await asyncio.wait_for(outbox.put(mark()), CONFIRM_SECONDS)

    await outbox.stop()


async def test_a_channel_that_has_confirmed_before_keeps_its_place_in_line(stack: Stack) -> None:
    outbox = RabbitOutbox(stack.rabbitmq_url, Partitions(8), limit=10, name="used")
    outbox.start()
    await eventually(lambda: outbox.connected)
    await asyncio.wait_for(outbox.put(mark()), CONFIRM_SECONDS)

    async with suspended_channels(stack, "used"):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await asyncio.wait_for(outbox.put(mark()), 2 * CONFIRM_SECONDS)

    await asyncio.wait_for(outbox.put(mark()), CONFIRM_SECONDS)
    await outbox.stop()
