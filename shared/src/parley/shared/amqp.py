"""RabbitMQ: connect, publish and close in bounded time."""

import aio_pika
import structlog
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection

from parley.shared.cancellation import within

log = structlog.get_logger()

CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0


async def connect(url: str, *, name: str, heartbeat: int) -> AbstractConnection:
    """Connect, without reconnecting by itself later.

    Args:
        url: `amqp://` or `amqps://`.
        name: The connection's name in the broker's own lists.
        heartbeat: Seconds; the broker drops a silent client after about two of them.

    Raises:
        TimeoutError: The broker does not answer.
        AMQPError, OSError: The broker refuses, or cannot be reached.
    """
    connection = aio_pika.connect(
        url, heartbeat=heartbeat, client_properties={"connection_name": f"parley {name}"}
    )
    return await within(CONNECT_SECONDS, connection)


async def publish(
    channel: AbstractChannel, message: Message, exchange: str, routing_key: str, *, seconds: float
) -> None:
    """Publish a message, and return when the broker has confirmed it.

    `AbstractExchange.publish` holds the channel's lock until a message is written, for some turns of the
    event loop: of concurrent publishers on a busy loop each would wait for all others. Without `wait` the
    lock is free at once. The caller bounds what may wait to be written.

    Raises:
        TimeoutError: No confirm came within `seconds`; the broker may have the message.
        AMQPError: The broker does not take the message, or the channel was lost.
    """
    underlay = await channel.get_underlay_channel()
    await underlay.basic_publish(
        message.body,
        exchange=exchange,
        routing_key=routing_key,
        properties=message.properties,
        mandatory=True,
        timeout=seconds,
        wait=False,  # type: ignore[call-arg]  # The abstract class lacks this parameter.
    )


async def close(connection: AbstractConnection) -> None:
    """Close; leave alone a broker that does not answer, which sees the connection end."""
    try:
        await within(CLOSE_SECONDS, connection.close())
    except Exception as error:
        log.debug("shared.amqp.close_failed", error=repr(error))
