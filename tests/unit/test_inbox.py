"""A client is not read while much of what it sent waits to be handled, in packets or in bytes."""

import asyncio

from engineio import packet as eio

from parley.gateway.state.hop_delays import DelayGauge
from parley.gateway.transport.websocket import INBOX_BYTES, INBOX_PACKETS, Inbox


def message(size: int) -> eio.Packet:
    return eio.Packet(eio.MESSAGE, "x" * size)


async def accepted(size: int) -> int:
    """Return how many packets of a size an inbox takes while nothing is handled."""
    inbox, count = Inbox(DelayGauge()), 0
    while not inbox.full():
        await inbox.put(message(size))
        count += 1
    return count


async def test_an_inbox_takes_few_large_packets_and_many_small_ones() -> None:
    assert await accepted(INBOX_BYTES // 4) == 4
    assert await accepted(10) == INBOX_PACKETS


async def test_a_client_is_read_again_when_its_packets_are_handled() -> None:
    inbox = Inbox(DelayGauge())
    await inbox.put(message(INBOX_BYTES))
    putting = asyncio.create_task(inbox.put(message(1)))
    await asyncio.sleep(0)
    assert not putting.done()

    await inbox.next()

    await asyncio.wait_for(putting, 5)
    assert not inbox.full()


async def test_the_end_of_a_client_is_no_packet() -> None:
    inbox = Inbox(DelayGauge())
    await inbox.put(None)

    assert await inbox.next() is None
