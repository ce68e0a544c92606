"""Dead letters: records that cannot be stored, kept with the reason."""

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, HeadersType

from parley.shared import records
from parley.shared.metrics import dead_letters
from parley.shared.partitions import DEAD_LETTERS
from parley.shared.records import Record

REASON_CHARACTERS = 500


async def bury(record: Record, reason: str, partition: int, channel: AbstractChannel) -> None:
    """Put a record into the dead-letter queue; returns when the broker holds it."""
    await bury_body(_written(record), reason, partition, channel)


async def bury_body(body: bytes, reason: str, partition: int, channel: AbstractChannel) -> None:
    """Likewise something that cannot even be read."""
    exchange = await channel.get_exchange(DEAD_LETTERS, ensure=False)
    headers: HeadersType = {"x-reason": reason[:REASON_CHARACTERS], "x-partition": partition}
    letter = Message(body, headers=headers, delivery_mode=DeliveryMode.PERSISTENT)
    await exchange.publish(letter, routing_key="")
    dead_letters.inc()


def _written(record: Record) -> bytes:
    """The body of a dead letter."""
    try:
        return records.pack([record])
    except (ValueError, OverflowError):
        # A time that is out of range can be read, and then not be written again.
        return repr(record).encode()
