"""Dead letters: records that cannot be stored, kept in a queue with the reason."""

from time import time

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, HeadersType

from parley.shared import records
from parley.shared.metrics import dead_letters
from parley.shared.partitions import DEAD_LETTERS
from parley.shared.records import Record

REASON_CHARACTERS = 500


async def dead_letter(record: Record, reason: str, partition: int, channel: AbstractChannel) -> None:
    """Publish a record to the dead-letter queue and wait until the broker has confirmed it."""
    await dead_letter_body(_body_of(record), reason, partition, channel)


async def dead_letter_body(body: bytes, reason: str, partition: int, channel: AbstractChannel) -> None:
    """Publish an AMQP body, readable or not, to the dead-letter queue and wait for the confirm."""
    exchange = await channel.get_exchange(DEAD_LETTERS, ensure=False)
    headers: HeadersType = {"x-reason": reason[:REASON_CHARACTERS], "x-partition": partition}
    letter = Message(body, headers=headers, delivery_mode=DeliveryMode.PERSISTENT, timestamp=int(time()))
    await exchange.publish(letter, routing_key="")
    dead_letters.inc()


def _body_of(record: Record) -> bytes:
    try:
        return records.pack([record])
    except (ValueError, OverflowError):
        # msgspec decodes a time before year 1 in UTC, but cannot encode it.
        return repr(record).encode()
