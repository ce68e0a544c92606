"""The pipelined connection answers each caller its own, and opens again after an error, on a real Redis."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Connection, Redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as TimedOut

from parley.shared import pipelined_connection
from parley.shared.pipelined_connection import PipelinedConnection
from parley.shared.redis import connect
from parley.stack import Stack


@pytest.fixture
async def redis(stack: Stack) -> AsyncIterator["Redis"]:
    client = connect(stack.redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def connection(redis: "Redis") -> AsyncIterator[PipelinedConnection]:
    connection = PipelinedConnection(redis)
    yield connection
    await connection.close()


async def test_callers_at_the_same_time_get_their_own_replies(connection: PipelinedConnection) -> None:
    texts = [f"{n}-{'x' * n * 100}" for n in range(200)]
    replies = await asyncio.gather(*(connection.run([("ECHO", t), ("ECHO", f"{t}!")]) for t in texts))

    assert replies == [[t.encode(), f"{t}!".encode()] for t in texts]


async def test_an_error_of_one_command_is_among_the_replies(connection: PipelinedConnection) -> None:
    key = f"test:{uuid.uuid4()}"
    wrong, right = await connection.run([("GET",), ("INCRBY", key, 3)])

    assert isinstance(wrong, ResponseError)
    assert right == 3


async def test_a_caller_that_gives_up_takes_no_other_s_reply(connection: PipelinedConnection) -> None:
    await connection.run([("PING",)])
    leaving = asyncio.create_task(connection.run([("ECHO", "one")]))
    await asyncio.sleep(0)
    leaving.cancel()

    assert await connection.run([("ECHO", "two")]) == [b"two"]


async def test_a_lost_connection_is_opened_again(redis: "Redis", connection: PipelinedConnection) -> None:
    (number,) = await connection.run([("CLIENT", "ID")])
    await redis.client_kill_filter(_id=str(number))

    (other,) = await connection.run([("CLIENT", "ID")])
    assert other != number


async def test_a_command_without_an_answer_fails_in_time(
    connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelined_connection, "SECONDS", 0.1)
    with pytest.raises(TimedOut):
        await connection.run([("BLPOP", f"test:{uuid.uuid4()}", 5)])

    assert await connection.run([("PING",)]) == [b"PONG"]


async def test_callers_without_redis_wait_for_one_attempt_to_connect(
    redis: "Redis", connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[None] = []

    async def fail() -> None:
        attempts.append(None)
        await asyncio.sleep(0.05)
        raise ConnectionRefusedError

    monkeypatch.setattr(redis.connection_pool, "get_connection", fail)
    outcomes = await asyncio.gather(*(connection.run([("PING",)]) for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ConnectionRefusedError}
    assert len(attempts) == 2


async def test_a_connection_that_fails_its_check_is_replaced(
    redis: "Redis", connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (number,) = await connection.run([("CLIENT", "ID")])
    check = Connection.check_health
    failures = [ConnectionLost("another master")]

    async def fail_once(self: Connection) -> None:
        if failures:
            raise failures.pop()
        await check(self)

    monkeypatch.setattr(Connection, "check_health", fail_once)
    (other,) = await connection.run([("CLIENT", "ID")])
    assert other != number
