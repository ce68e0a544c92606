"""An accepted message that no database can store."""

import aio_pika
import msgspec

from clients.chat import User, eventually
from clients.workers import DeadLetters
from parley.shared.model import Message, Person, message_id, now
from parley.shared.partitions import EXCHANGE, Partitions
from parley.shared.records import NewMessage
from parley.stack import Stack

BEFORE_TIME = "0001-01-01T00:00:00+14:00"
"""In UTC this is before the year 1, so that no MongoDB driver can encode it."""


async def send_unstorable(stack: Stack, sender: User, conversation_id: str) -> str:
    """Publish the message to the workers; return its id. Its sender receives `messageFailed`."""
    named = message_id(sender.id, conversation_id, None)
    message = Message(
        id=named, conversation_id=conversation_id, sender_id=sender.id, content="bad", created_at=now()
    )
    record = msgspec.to_builtins(NewMessage(id=named, message=message, sender=Person(id=sender.id)))
    record["message"]["createdAt"] = BEFORE_TIME
    async with await aio_pika.connect(stack.rabbitmq_url) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE, ensure=False)
        letter = aio_pika.Message(msgspec.msgpack.encode([record]))
        await exchange.publish(letter, str(Partitions(8).of(conversation_id)))
    return named


async def clear_away(stack: Stack) -> None:
    """Take the message from the dead letters."""
    await eventually(DeadLetters(stack).take)
