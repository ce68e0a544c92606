"""The registry of live workers, which needs no server but the one that a worker is connected to.

Each worker has an exclusive queue on the node that it is connected to; the queue ends with the connection.
Workers write to the queues of the workers that they know, at each check. The broker returns a message whose
queue is gone, so that a worker's death is known at once.
"""

import asyncio
import uuid
from time import monotonic

import structlog
from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aiormq.exceptions import AMQPError, PublishError

from parley.persistence_worker.counting_queue import CountingQueue
from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.partitions import WORKERS, worker_name

log = structlog.get_logger()

ANNOUNCE_SECONDS = 2.0
"""Time between two messages to all workers, unknown ones included: two halves of a cluster may reunite."""
SILENT_SECONDS = 5.0
"""Time after which a worker without a message does not count, although its queue exists: it may be frozen."""
RETURN_SECONDS = 0.5
"""Time for the broker to return a message whose queue is gone; the next check does not depend on it."""
QUEUE_LIMIT = 1_000
EVERYONE = "all"
"""The routing key of messages to all workers; the other keys are the names of the workers' queues."""
PRESENT, ABSENT = "present", "absent"


class WorkerRegistry:
    """Registers this worker and counts all, for as long as the connection lasts."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._name = worker_name(uuid.uuid4().hex)
        self._state = ABSENT
        self._known: dict[str, float] = {}
        """When the last message of each other present worker came, by the name of its queue."""
        self._announced_at = 0.0
        self._writing: set[asyncio.Task[None]] = set()
        self._exchange: AbstractExchange
        self._old = CountingQueue(connection)

    async def open(self, *, present: bool) -> None:
        """Register this worker, and ask the others to answer."""
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        self._exchange = await channel.declare_exchange(
            WORKERS, ExchangeType.DIRECT, durable=True, timeout=ANSWER_SECONDS
        )
        queue = await channel.declare_queue(
            self._name, exclusive=True, arguments={"x-max-length": QUEUE_LIMIT}, timeout=ANSWER_SECONDS
        )
        for key in (EVERYONE, self._name):
            await queue.bind(self._exchange, key, timeout=ANSWER_SECONDS)
        await queue.consume(self._receive, no_ack=True, timeout=ANSWER_SECONDS)
        self._announce(PRESENT if present else ABSENT)

    async def count(self, *, present: bool) -> int:
        """Return the number of live workers, this one included only if it is `present`."""
        state = PRESENT if present else ABSENT
        if state != self._state or monotonic() - self._announced_at > ANNOUNCE_SECONDS:
            self._announce(state)
        for other in self._known:
            self._write_to(other)
        if self._writing:
            await asyncio.wait(self._writing, timeout=RETURN_SECONDS)
        oldest = monotonic() - SILENT_SECONDS
        self._known = {name: at for name, at in self._known.items() if at > oldest}
        return max(len(self._known) + present, await self._old.count(present=present))

    async def leave(self) -> None:
        """Ask the other workers not to count this one any more."""
        self._announce(ABSENT)
        await asyncio.wait(self._writing, timeout=RETURN_SECONDS)

    def _announce(self, state: str) -> None:
        self._state, self._announced_at = state, monotonic()
        self._write_to(EVERYONE)

    def _write_to(self, other: str) -> None:
        """Write in a task: a confirm that waits for a node that does not answer may hold nothing up."""
        task = asyncio.create_task(self._write(other))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, other: str) -> None:
        message = Message(b"", app_id=self._name, type=self._state)
        try:
            await self._exchange.publish(message, other, mandatory=True, timeout=ANSWER_SECONDS)
        except PublishError:
            self._known.pop(other, None)
        except (AMQPError, TimeoutError, OSError, RuntimeError) as error:
            # A lost connection ends the session elsewhere.
            log.debug("worker.registry.write_failed", error=repr(error))

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        other = message.app_id
        if other is None or other == self._name:
            return
        if message.type != PRESENT:
            self._known.pop(other, None)
            return
        is_new = other not in self._known
        self._known[other] = monotonic()
        if is_new:
            self._write_to(other)
