"""A barrier through partitions: passed when workers have stored all records that were in their queues."""

from collections.abc import Iterable
from time import monotonic, time
from typing import Any

from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractConnection

from parley.shared import events, records, rooms
from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.events import RecordRefused
from parley.shared.model import new_id, now
from parley.shared.partitions import DRAIN, Partitions
from parley.shared.pubsub import Publication, subscription
from parley.shared.records import Deletion

AGAIN_SECONDS = 1.0
"""Time after which a record without an answer is sent again: Redis may have lost the answer."""


class Barrier:
    """A record in each queue, behind all others, that workers of all versions refuse.

    It deletes a message that does not exist, for a user who does not exist. The refusal is published after
    what lay before the record was stored, so nothing depends on who consumes the queue, or how often it
    changes hands.

    Args:
        connection: A connection to the broker.
        redis: The Redis by which workers publish.
    """

    def __init__(self, connection: AbstractConnection, redis: Any) -> None:
        self._connection = connection
        self._redis = redis

    async def passes(self, partitions: Partitions, seconds: float) -> bool:
        """Return whether all that the queues hold now is stored within this time.

        Raises:
            AMQPError, OSError: The broker is away.
            RedisError: Redis is away.
        """
        user = new_id()
        deadline = monotonic() + seconds
        async with subscription(self._redis, rooms.channel(rooms.user(user))) as refusals:
            waiting: dict[str, str] = {}
            missing = set(partitions.queues)
            while missing and monotonic() < deadline:
                waiting.update(await self._send(missing, user))
                until = min(deadline, monotonic() + AGAIN_SECONDS)
                while missing and monotonic() < until:
                    publication = await refusals.next(until - monotonic())
                    missing -= {waiting.get(each, "") for each in _refused(publication)}
        return not missing

    async def _send(self, queues: Iterable[str], user: str) -> dict[str, str]:
        """Put a record into each queue; return the queues by the records' ids."""
        channel = await self._connection.channel(publisher_confirms=True)
        try:
            exchange = await channel.declare_exchange(
                DRAIN, ExchangeType.DIRECT, durable=True, timeout=ANSWER_SECONDS
            )
            sent = {}
            for name in sorted(queues):
                queue = await channel.get_queue(name, ensure=False)
                await queue.bind(exchange, name, timeout=ANSWER_SECONDS)
                record = Deletion(
                    id=new_id(), conversation_id=name, message_id=new_id(), user_id=user, at=now()
                )
                sent[record.id] = name
                await exchange.publish(_message(record), name, mandatory=True, timeout=ANSWER_SECONDS)
            return sent
        finally:
            await channel.close()


def _message(record: Deletion) -> Message:
    return Message(
        records.pack([record]),
        headers={"records": 1},
        delivery_mode=DeliveryMode.PERSISTENT,
        timestamp=int(time()),
    )


def _refused(publication: Publication | None) -> list[str]:
    if publication is None:
        return []
    return [each.record_id for each in events.unpack(publication.body) if isinstance(each, RecordRefused)]
