"""RabbitMQ: connect to one of its nodes, and close in bounded time."""

import random
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import Connection, make_url
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from parley.shared.amqp_frames import FrameReader, FrameReaders
from parley.shared.cancellation import within
from parley.shared.host_lists import split_hosts

log = structlog.get_logger()

# The driver gives up a silent broker after three heartbeats and more. A client of a cluster would wait
# 15 s for a node that hangs or was cut off, while the others work: it waits for 1.4 heartbeats.
aiormq.Connection.HEARTBEAT_GRACE_MULTIPLIER = 1.4  # type: ignore[assignment]

TRANSPORT = "transport_factory"
"""The driver's argument for what opens the transport of a connection."""
CONNECT_SECONDS = 5.0
NODE_SECONDS = 2.0
"""Time to connect to one of several nodes; the next one may answer sooner."""
ANSWER_SECONDS = 5.0
"""Time for the broker to answer a declaration: a queue may be on a node that does not answer."""
CLOSE_SECONDS = 2.0


async def connect(url: str, *, name: str, heartbeat: int, avoided: str | None = None) -> AbstractConnection:
    """Connect to a node, without reconnecting by itself later.

    The nodes are tried in random order, so that clients spread over them, until one answers.

    Args:
        url: `amqp://` or `amqps://`, with one host or several: `amqp://user:password@a:5672,b:5672/vhost`.
        name: The connection's name in the broker's own lists.
        heartbeat: Seconds; broker and client drop each other when one is silent for about two of them.
        avoided: The node that is tried last, as `node_of` names it.

    Raises:
        TimeoutError: The only node does not answer.
        AMQPError, OSError: The broker refuses, or no node can be reached.
    """
    urls = node_urls(url)
    if len(urls) == 1:
        return await _connect_to(url, CONNECT_SECONDS, name, heartbeat)
    failures = []
    for each in sorted(random.sample(urls, len(urls)), key=lambda each: _node(make_url(each)) == avoided):
        try:
            return await _connect_to(each, NODE_SECONDS, name, heartbeat)
        except (TimeoutError, AMQPError, OSError) as error:
            failures.append(f"{_host(each)}: {error!r}")
    raise ConnectionError(f"no RabbitMQ node can be reached: {'; '.join(failures)}")


def node_urls(url: str) -> Sequence[str]:
    """Return the URL of each host in a URL."""
    return split_hosts(url).urls()


def node_of(connection: AbstractConnection) -> str:
    """Return the host and port of a connection's node."""
    driver: Any = connection
    return _node(driver.url)


def frames_of(connection: AbstractConnection) -> FrameReader:
    """Return what reads the frames of an open connection."""
    driver: Any = connection
    reader: FrameReader | None = driver.kwargs[TRANSPORT].reader
    assert reader is not None, "the connection was not opened"
    return reader


def _node(url: Any) -> str:
    return f"{url.host}:{url.port}"


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


async def _connect_to(url: str, seconds: float, name: str, heartbeat: int) -> AbstractConnection:
    properties: Any = {"connection_name": f"parley {name}"}
    connection = Connection(make_url(url, heartbeat=heartbeat), client_properties=properties)
    connection.kwargs[TRANSPORT] = FrameReaders()
    try:
        await within(seconds, connection.connect())
    except BaseException:
        # The driver would close it when it is collected, which may be outside of an event loop.
        await connection.close()
        raise
    return connection


async def has_exchange(connection: AbstractConnection, name: str) -> bool:
    """Return whether the broker has an exchange.

    Raises:
        AMQPError, OSError: The broker is away.
    """
    channel = await connection.channel()
    try:
        await channel.declare_exchange(name, passive=True, timeout=ANSWER_SECONDS)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def close(opened: AbstractConnection | AbstractChannel) -> None:
    """Close; leave alone a broker that does not answer, which sees the connection end."""
    try:
        await within(CLOSE_SECONDS, opened.close())
    except Exception as error:
        log.debug("shared.amqp.close_failed", error=repr(error))
