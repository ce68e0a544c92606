"""A client is not read while much of what it sent waits to be handled, in packets or in bytes."""

import asyncio

from engineio import packet as eio

from clients.chat import eventually
from parley.gateway.state.hop_delays import DelayGauge
from parley.gateway.transport.inbox import INBOX_BYTES, INBOX_PACKETS, Inbox


def message(size: int) -> eio.Packet:
    return eio.Packet(eio.MESSAGE, "x" * size)


class Client:
    """Handles packets when it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.handled: list[eio.Packet] = []
        self.rooms = self.ends = 0

    async def handle(self, packet: eio.Packet) -> None:
        await self.may.wait()
        self.handled.append(packet)

    def on_room(self) -> None:
        self.rooms += 1

    def on_empty(self) -> None:
        self.ends += 1


async def accepted(size: int) -> int:
    """Return how many packets of a size an inbox takes while nothing is handled."""
    inbox, count = Inbox(Client(), DelayGauge()), 0
    while not inbox.is_full():
        inbox.put(message(size))
        count += 1
    return count


async def test_an_inbox_takes_few_large_packets_and_many_small_ones() -> None:
    assert await accepted(INBOX_BYTES // 4) == 4
    assert await accepted(10) == INBOX_PACKETS


async def test_a_client_is_read_again_when_its_packets_are_handled() -> None:
    client = Client()
    inbox = Inbox(client, DelayGauge())
    inbox.put(message(1))
    await asyncio.sleep(0)
    inbox.put(message(INBOX_BYTES))
    assert inbox.is_full()
    assert not client.rooms

    client.may.set()

    await eventually(lambda: client.rooms == 1)
    assert not inbox.is_full()


async def test_packets_are_handled_one_after_the_other_until_none_is_left() -> None:
    client = Client()
    inbox = Inbox(client, DelayGauge())
    packets = [message(1), message(2), message(3)]
    inbox.put(packets[0])
    await asyncio.sleep(0)
    for packet in packets[1:]:
        inbox.put(packet)
    assert not client.ends

    client.may.set()

    await eventually(lambda: client.ends == 1)
    assert client.handled == packets


async def test_the_delay_is_that_of_the_first_packet() -> None:
    delay = DelayGauge()
    client = Client()
    client.may.set()
    Inbox(client, delay).put(message(1))

    await eventually(lambda: client.ends == 1)

    assert 0 < delay.take() < 5
