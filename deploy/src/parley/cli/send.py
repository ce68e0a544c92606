"""`parley send`: a message of a user, as a gateway would hand it to the workers.

It goes by RabbitMQ and a worker to MongoDB and back by Redis, so it tries the way of every message but its
first part, from a client to a gateway.
"""

import asyncio
from time import monotonic
from typing import Annotated, Any

import msgspec
import typer
from aio_pika import DeliveryMode
from aio_pika import Message as AmqpMessage
from aiormq.exceptions import DeliveryError

from parley.cli import environment, layout
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.faults import named, open_redis
from parley.cli.output import Json, print_json, print_line
from parley.shared import amqp, events, mongo, records, rooms
from parley.shared.documents import USERS, from_document
from parley.shared.events import MessageRepeated, MessageStored, RecordRefused
from parley.shared.model import MAX_CONTENT, Message, Person, message_id, new_id, now
from parley.shared.partitions import HEARTBEAT_SECONDS, exchange_name, fix_count
from parley.shared.pubsub import Subscription, subscription
from parley.shared.records import NewMessage
from parley.shared.settings import StartupError

STORED_SECONDS = 15.0
CONFIRM_SECONDS = 5.0


def send(
    context: typer.Context,
    conversation: Annotated[str, typer.Argument(help="The conversation's id.")],
    text: Annotated[str, typer.Argument(help="The message.")],
    user: Annotated[str, typer.Option("--as", help="The id of the sender, who must be a member.")],
    client_message_id: Annotated[
        str | None, typer.Option(help="The client's id of the message: a repetition sends it once.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a message as a user, and wait until it is stored; exits with 1 if it is refused."""
    if not text.strip() or len(text) > MAX_CONTENT:
        raise CommandError(f"A message has 1 to {MAX_CONTENT:,} characters.")
    env = environment.of(context)
    event = asyncio.run(_send(env, conversation, text, user, client_message_id))
    if isinstance(event, RecordRefused):
        print_json({"sent": False, "code": event.code, "reason": event.reason}) if as_json else print_line(
            f"It was refused: {event.reason}"
        )
        raise typer.Exit(1)
    if as_json:
        print_json({"sent": True, "message": msgspec.to_builtins(event.message)})
    else:
        print_line(f"Stored as number {event.message.seq} of {conversation}, id {event.message.id}.")


Outcome = MessageStored | MessageRepeated | RecordRefused


async def _send(
    env: Environment, conversation: str, text: str, user: str, client_message_id: str | None
) -> Outcome:
    record = await _record(env, conversation, text, user, client_message_id)
    async with open_redis(env.settings.redis_url) as client:
        channels = [rooms.channel(room) for room in (rooms.conversation(conversation), rooms.user(user))]
        async with subscription(client, *channels) as events_of_both:
            await _publish(env, record)
            return await _outcome(events_of_both, record.id)


async def _record(
    env: Environment, conversation: str, text: str, user: str, client_message_id: str | None
) -> NewMessage:
    with named("MongoDB", "MONGO_URL"):
        async with mongo.connect(env.settings.mongo_url) as database:
            stored = await database[USERS].find_one({"_id": user})
    message = Message(
        id=message_id(user, conversation, client_message_id),
        conversation_id=conversation,
        sender_id=user,
        content=text,
        created_at=now(),
        client_message_id=client_message_id,
    )
    sender = from_document(Person, stored) if stored else Person(id=user)
    return NewMessage(id=new_id(), message=message, sender=sender)


async def _publish(env: Environment, record: NewMessage) -> None:
    partitions = await layout.writable(env)
    with named("RabbitMQ", "RABBITMQ_URL"):
        connection = await amqp.connect(env.settings.rabbitmq_url, name="send", heartbeat=HEARTBEAT_SECONDS)
        try:
            await fix_count(connection, partitions)
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await channel.get_exchange(exchange_name(partitions.epoch), ensure=False)
            headers: dict[str, Any] = {"records": 1}
            message = AmqpMessage(
                records.pack([record]),
                headers=headers,
                delivery_mode=DeliveryMode.PERSISTENT,
                timestamp=now(),
            )
            key = str(partitions.of(record.conversation_id))
            await exchange.publish(message, key, mandatory=True, timeout=CONFIRM_SECONDS)
        except StartupError as error:
            raise CommandError(str(error)) from error
        except DeliveryError as error:
            raise CommandError(f"RabbitMQ does not take the message ({error}): see parley doctor.") from error
        finally:
            await amqp.close(connection)


async def _outcome(subscribed: Subscription, record_id: str) -> Outcome:
    """Wait for the event that says what became of a record."""
    deadline = monotonic() + STORED_SECONDS
    while (publication := await subscribed.next(deadline - monotonic())) is not None:
        for event in events.unpack(publication.body):
            if isinstance(event, Outcome) and event.record_id == record_id:
                return event
    raise CommandError(
        f"It was accepted, but no worker has stored it within {STORED_SECONDS:.0f} s: see parley doctor."
    )
