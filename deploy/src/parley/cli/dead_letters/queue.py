"""Reads the queue of dead letters, so that none is lost and their order stays.

AMQP has no look without taking. So all letters are taken, a window at a time, and none is acknowledged; at
the end they are given back in their order. A quorum queue puts what is given back behind letters that were
given back before, so those that nobody needs are taken too: a part given back alone would change places with
the rest (https://github.com/rabbitmq/rabbitmq-server/issues/6804).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelLockedResource

from parley.cli.broker import queue_state, server_version
from parley.cli.dead_letters.letter import Letter
from parley.cli.errors import CommandError
from parley.cli.faults import named
from parley.shared import amqp
from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.amqp_frames import Delivery
from parley.shared.partitions import DEAD_LETTER_QUEUE, HEARTBEAT_SECONDS

LOCK = "parley.dead_letters.reader"
WINDOW = 3_500
"""Letters that are in memory at once. Each window is given back by one answer: of more than 32 answers at
once RabbitMQ makes one, and their order is lost."""
IDLE_SECONDS = 5.0
LOST = "RabbitMQ was lost while the dead letters were read: it gives them back itself; try again."
LIMITED_SINCE, NOT_COUNTED_SINCE = (4, 0), (4, 3)
"""The versions of RabbitMQ from which a letter that was given back too often is dropped, and from which
giving back by `basic.nack` no longer counts (https://www.rabbitmq.com/docs/4.3/nack)."""
MOST_DELIVERIES = 15
"""RabbitMQ drops a letter after 20; the rest is for commands that were killed."""


class DeadLetters:
    """The letters that were in the queue when it was opened; iterate over them once.

    Args:
        connection: A connection that nothing else uses.
        count: The number of letters.
        most_deliveries: How often a letter may have been delivered before; None for any number.
    """

    def __init__(self, connection: AbstractConnection, count: int, most_deliveries: int | None) -> None:
        self._connection = connection
        self._most_deliveries = most_deliveries
        self._channel: Any = None
        self._inbox: asyncio.Queue[Delivery] = asyncio.Queue()
        self._held: set[int] = set()
        self._ends: list[int] = []
        self._taken = 0
        self._left_of_window = 0
        self._consumer = ""
        self._last = 0
        self.count = count

    async def begin(self) -> None:
        """Open the channel on which letters are taken."""
        channel = await self._connection.channel(publisher_confirms=False)
        self._channel = await channel.get_underlay_channel()
        amqp.frames_of(self._connection).consume(self._channel.number, self._inbox.put_nowait)

    async def __aiter__(self) -> AsyncIterator[Letter]:
        """Iterate over all letters in their order, the oldest first.

        Raises:
            CommandError: RabbitMQ was lost, or the letters were given back so often that it would soon drop
                them.
        """
        while (delivery := await self._take()) is not None:
            letter = Letter(self._taken, delivery)
            self._check(letter)
            yield letter

    async def remove(self, letter: Letter) -> None:
        """Remove a letter for good."""
        self._held.discard(letter.delivery.tag)
        await self._channel.basic_ack(letter.delivery.tag, wait=False)

    async def give_back(self) -> None:
        """Take the letters that are left, and give back all that were not removed, in their order."""
        if self._channel.is_closed:
            return
        while await self._take() is not None:
            pass
        begin = 0
        for end in self._ends:
            # The last letter of a window that is held stands for all of them; removed ones are acknowledged.
            last = max((tag for tag in range(begin + 1, end + 1) if tag in self._held), default=None)
            if last is not None:
                await self._channel.basic_nack(last, multiple=True, requeue=True)
            begin = end
        await self._channel.close()

    async def _take(self) -> Delivery | None:
        """Take the next letter; None if there is none."""
        if self._taken == self.count:
            return None
        if not self._left_of_window:
            await self._begin_window(min(WINDOW, self.count - self._taken))
        try:
            delivery = await asyncio.wait_for(self._inbox.get(), IDLE_SECONDS)
        except TimeoutError:
            if self._channel.is_closed:
                raise CommandError(LOST) from None
            # Letters were dropped meanwhile, since newer ones need their place.
            self.count = self._taken
            await self._end_window()
            return None
        self._taken += 1
        self._held.add(delivery.tag)
        self._last = delivery.tag
        self._left_of_window -= 1
        if not self._left_of_window:
            await self._end_window()
        return delivery

    async def _begin_window(self, size: int) -> None:
        """Begin to consume; the consumer gets no more than these letters, since it is ended before."""
        self._left_of_window = size
        await self._channel.basic_qos(prefetch_count=size, timeout=ANSWER_SECONDS)
        begun = await self._channel.basic_consume(DEAD_LETTER_QUEUE, _ignore, timeout=ANSWER_SECONDS)
        self._consumer = begun.consumer_tag

    async def _end_window(self) -> None:
        self._left_of_window = 0
        self._ends.append(self._last)
        await self._channel.basic_cancel(self._consumer, timeout=ANSWER_SECONDS)

    def _check(self, letter: Letter) -> None:
        if self._most_deliveries is not None and letter.deliveries >= self._most_deliveries:
            raise CommandError(
                f"The dead letters were read {letter.deliveries} times, and this RabbitMQ drops what was "
                f"given back 20 times: set the policy delivery-limit -1 for {DEAD_LETTER_QUEUE} "
                "(deploy/README.md), then read them with --force."
            )


@asynccontextmanager
async def open_letters(url: str, *, force: bool = False) -> AsyncIterator[DeadLetters]:
    """Open the queue for one reader at a time.

    Args:
        url: The broker's URL.
        force: Read letters that were given back often already.

    Raises:
        CommandError: RabbitMQ cannot be reached, or another command reads the letters.
    """
    with named("RabbitMQ", "RABBITMQ_URL"):
        connection = await amqp.connect(url, name="dead letters", heartbeat=HEARTBEAT_SECONDS)
    try:
        with named("RabbitMQ", "RABBITMQ_URL"):
            await _lock(connection)
            state = await queue_state(connection, DEAD_LETTER_QUEUE)
            limit = None if force else most_deliveries(server_version(connection))
            letters = DeadLetters(connection, state.message_count if state is not None else 0, limit)
            await letters.begin()
            try:
                yield letters
            finally:
                await asyncio.shield(letters.give_back())
    finally:
        await amqp.close(connection)


def most_deliveries(version: str) -> int | None:
    """Return how often letters may be read with this version of RabbitMQ; None for any number."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    return MOST_DELIVERIES if LIMITED_SINCE <= numbers < NOT_COUNTED_SINCE else None


async def _lock(connection: AbstractConnection) -> None:
    channel = await connection.channel()
    try:
        await channel.declare_queue(LOCK, exclusive=True, timeout=ANSWER_SECONDS)
    except ChannelLockedResource:
        raise CommandError("Another command reads the dead letters: try again when it has ended.") from None


async def _ignore(_message: object) -> None:
    """Take nothing: the connection's frame reader gives the letters to the inbox itself."""
