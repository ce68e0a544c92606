"""The queues that services declare, and their number, which is fixed in the broker."""

import asyncio
import os
import re
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from clients.chat import eventually
from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.gateway.core.errors import Unavailable
from parley.shared import amqp, partitions
from parley.shared.model import now
from parley.shared.partitions import Partitions, check_count, declare, fix_count
from parley.shared.records import ReadMark
from parley.shared.settings import StartupError
from parley.stack import Stack


@pytest.fixture
async def broker(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AbstractConnection]:
    """A connection to a broker on which nothing is declared under the names in use."""
    own = f"parley.test.{uuid.uuid4().hex[:8]}"
    for name in ("EXCHANGE", "COUNT", "DEAD_LETTERS", "DEAD_LETTER_QUEUE"):
        monkeypatch.setattr(partitions, name, f"{own}.{name.lower()}")
    connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
    yield connection
    channel = await connection.channel()
    for number in range(4):
        await channel.queue_delete(partitions.queue_name(number))
    await channel.queue_delete(partitions.DEAD_LETTER_QUEUE)
    for name in (partitions.EXCHANGE, partitions.COUNT, partitions.DEAD_LETTERS):
        await channel.exchange_delete(name)
    await connection.close()


async def test_services_with_the_same_number_start_side_by_side(broker: AbstractConnection) -> None:
    await asyncio.gather(*(fix_count(broker, Partitions(2)) for _ in range(5)))
    await declare(await broker.channel(), Partitions(2))

    await fix_count(broker, Partitions(2))


@pytest.mark.parametrize("other", [1, 3])
async def test_another_number_than_the_fixed_one_is_refused(broker: AbstractConnection, other: int) -> None:
    await fix_count(broker, Partitions(2))

    with pytest.raises(StartupError, match=f"PARTITIONS is {other}, but the queues in RabbitMQ are for 2:"):
        await fix_count(broker, Partitions(other))


@pytest.mark.parametrize(("other", "is_refused"), [(1, True), (2, False), (3, True)])
async def test_queues_of_version_0_1_0_have_no_fixed_number_and_are_counted(
    broker: AbstractConnection, other: int, is_refused: bool
) -> None:
    await declare(await broker.channel(), Partitions(2))

    if is_refused:
        with pytest.raises(StartupError, match="the queues in RabbitMQ are for 2:"):
            await fix_count(broker, Partitions(other))
    else:
        await fix_count(broker, Partitions(other))


async def test_a_declaration_that_was_interrupted_is_continued(broker: AbstractConnection) -> None:
    await fix_count(broker, Partitions(3))
    await declare(await broker.channel(), Partitions(1))

    await fix_count(broker, Partitions(3))


@pytest.mark.parametrize("gone", ["queue", "exchange"])
async def test_a_queue_or_exchange_that_was_deleted_is_declared_again_by_a_gateway(
    broker: AbstractConnection, stack: Stack, gone: str
) -> None:
    box = RabbitOutbox(stack.rabbitmq_url, Partitions(1), limit=10, name="test")
    box.start()
    await eventually(lambda: box.connected)
    await box.put(mark())
    channel = await broker.channel()
    if gone == "queue":
        await channel.queue_delete(partitions.queue_name(0))
    else:
        await channel.exchange_delete(partitions.EXCHANGE)

    with pytest.raises(Unavailable):
        await box.put(mark())

    async def is_accepted() -> bool:
        with suppress(Unavailable):
            await box.put(mark())
            return True
        return False

    await eventually(is_accepted)
    await box.stop()


def mark() -> ReadMark:
    return ReadMark(id=uuid.uuid4().hex, conversation_id="c", user_id="u", seq=1, message_id=None, at=now())


async def test_a_broker_that_is_away_does_not_keep_a_service_from_starting() -> None:
    await check_count("amqp://127.0.0.1:9/", Partitions(2), name="test")


@pytest.mark.parametrize("service", ["gateway", "persistence_worker"])
async def test_a_service_with_another_number_exits_with_one_sentence(
    stack: Stack, service: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    settings = {
        "REDIS_URL": stack.redis_url,
        "RABBITMQ_URL": stack.rabbitmq_url,
        "MONGO_URL": stack.mongo_url,
        "JWT_SECRET": stack.jwt_secret,
        "PARTITIONS": "16",
        "GATEWAY_PORT": port,
        "WORKER_PORT": port,
        "LOG_LEVEL": "error",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"parley.{service}"),
        cwd=tmp_path,
        env={**os.environ, **settings},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, errors = await process.communicate()

    assert process.returncode == 1
    (line,) = errors.decode().splitlines()
    # A worker stores the number once it has begun.
    assert re.match(
        r"PARTITIONS is 16, but the (queues in RabbitMQ are for|stored number .* is) 8: set", line
    )
    assert output == b""
