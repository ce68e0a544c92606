"""The workers' metrics, and their dead letters."""

import aiohttp
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage

from clients.chat import eventually
from clients.stacks import PARTITIONS
from parley.shared import amqp
from parley.shared.partitions import DEAD_LETTER_QUEUE, DEAD_LETTERS
from parley.stack import Stack


class PartitionShares:
    """How many partitions each worker holds, by the workers' own metrics."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._stack, self._http = stack, http

    async def current(self) -> list[int]:
        """Return all shares, the smallest first; a worker that does not answer counts as 0."""
        return sorted([await self.of(number) for number in range(1, len(self._stack.worker_urls) + 1)])

    async def of(self, number: int) -> int:
        """Return the share of the worker with this number; 0 when it does not answer."""
        return await self._figure(number, "parley_partitions_held")

    async def dead_letters(self) -> int:
        """Return how many dead letters the workers have made since they started."""
        return await self._sum("parley_dead_letters_total")

    async def unknown_kinds(self) -> int:
        """Return how many records of unknown kinds the workers have received since they started."""
        return await self._sum('parley_unknown_kinds_total{what="record"}')

    async def _sum(self, name: str) -> int:
        numbers = range(1, len(self._stack.worker_urls) + 1)
        return sum([await self._figure(number, name) for number in numbers])

    async def _figure(self, number: int, name: str) -> int:
        try:
            async with self._http.get(f"{self._stack.worker_urls[number - 1]}/metrics") as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0
        return int(float(text.partition(f"\n{name} ")[2].partition("\n")[0] or 0))

    async def wait_until(self, *shares: int, deadline: float = 15.0) -> None:
        """Wait until the workers have these shares."""

        async def are_so() -> bool:
            return await self.current() == list(shares)

        await eventually(are_so, deadline)

    async def wait_until_fair(self) -> None:
        """Wait until all workers hold equal shares, or shares that differ by one."""
        share, more = divmod(PARTITIONS.count, count := len(self._stack.worker_urls))
        await self.wait_until(*[share] * (count - more), *[share + 1] * more)


class DeadLetters:
    """The queue of records that could not be stored."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.rabbitmq_url

    async def put(self, body: bytes, reason: str) -> None:
        """Add a dead letter, as a worker does."""
        async with await amqp.connect(self._url, name="test", heartbeat=10) as connection:
            exchange = await (await connection.channel()).get_exchange(DEAD_LETTERS, ensure=False)
            await exchange.publish(Message(body, headers={"x-reason": reason, "x-partition": 3}), "")

    async def take(self) -> list[AbstractIncomingMessage]:
        """Remove and return all dead letters."""
        async with await amqp.connect(self._url, name="test", heartbeat=10) as connection:
            queue = await (await connection.channel()).get_queue(DEAD_LETTER_QUEUE, ensure=False)
            letters = []
            while (letter := await queue.get(no_ack=True, fail=False)) is not None:
                letters.append(letter)
            return letters
