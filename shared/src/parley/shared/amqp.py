"""RabbitMQ: connect and close in bounded time."""

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection

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


async def close(connection: AbstractConnection) -> None:
    """Close; leave alone a broker that does not answer, which sees the connection end."""
    try:
        await within(CLOSE_SECONDS, connection.close())
    except Exception as error:
        log.debug("shared.amqp.close_failed", error=repr(error))
