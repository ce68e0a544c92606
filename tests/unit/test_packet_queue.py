"""A polling client's packets stay in order until it takes them, and are counted."""

import asyncio

from engineio import packet as eio

from parley.gateway.transport.packet_queue import PacketQueue


def message(text: str) -> eio.Packet:
    return eio.Packet(eio.MESSAGE, text)


async def test_a_poll_takes_all_packets_in_order() -> None:
    queue = PacketQueue()
    queue.put(message("one"))
    queue.put(message("two"))

    assert [packet.data for packet in await queue.wait()] == ["one", "two"]
    assert not queue


async def test_a_poll_waits_for_the_next_packet() -> None:
    queue = PacketQueue()
    poll = asyncio.create_task(queue.wait())
    await asyncio.sleep(0)
    assert not poll.done()

    queue.put(message("one"))
    queue.put(message("two"))

    assert [packet.data for packet in await asyncio.wait_for(poll, 5)] == ["one", "two"]


async def test_a_poll_whose_packets_a_websocket_took_is_answered() -> None:
    queue = PacketQueue()
    poll = asyncio.create_task(queue.wait())
    await asyncio.sleep(0)

    queue.put(message("one"))
    assert [packet.data for packet in queue.take()] == ["one"]

    assert [packet.packet_type for packet in await asyncio.wait_for(poll, 5)] == [eio.NOOP]


async def test_a_cancelled_poll_takes_nothing() -> None:
    queue = PacketQueue()
    poll = asyncio.create_task(queue.wait())
    await asyncio.sleep(0)
    poll.cancel()
    await asyncio.wait([poll])

    queue.put(message("one"))

    assert [packet.data for packet in await queue.wait()] == ["one"]


def test_unread_bytes_are_counted_until_they_are_taken() -> None:
    queue = PacketQueue()
    queue.put(message("x" * 10))
    queue.put(message("x"))
    assert queue.unread_bytes == 11
    queue.take()
    assert queue.unread_bytes == 0
