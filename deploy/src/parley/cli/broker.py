"""Answers of RabbitMQ over AMQP: the size of a queue, and the version of a node."""

from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from parley.shared.amqp import ANSWER_SECONDS


async def queue_state(connection: AbstractConnection, name: str) -> Any | None:
    """Return the broker's answer on a queue (`message_count`, `consumer_count`); None if there is none."""
    channel = await connection.channel()
    try:
        queue = await channel.declare_queue(name, durable=True, passive=True, timeout=ANSWER_SECONDS)
    except ChannelNotFoundEntity:
        return None
    await channel.close()
    return queue.declaration_result


def server_version(connection: Any) -> str:
    """Return the version of a connection's node, as it states it."""
    properties = connection.transport.connection.server_properties
    version = properties.get("version", "?")
    return version.decode() if isinstance(version, bytes) else str(version)
