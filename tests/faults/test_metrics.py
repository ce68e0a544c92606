"""Operators see faults in the metrics, in the table of parts and in the logs."""

import signal

import pytest

from clients.broker import Exchange
from clients.chat import ChatUsers, eventually
from clients.metrics import figures
from clients.workers import DeadLetters
from parley.stack import Stack


def problems(stack: Stack) -> dict[str, list[str]]:
    return {part.name: list(part.problems) for part in stack.status() if part.problems}


@pytest.mark.slow
async def test_a_hanging_database_shows_as_lag_until_all_records_are_stored(
    fragile: Stack, users: ChatUsers
) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    fragile.signal("mongodb", signal.SIGSTOP)
    try:
        await alice.send(group, "meanwhile")

        async def is_late() -> bool:
            return max(await figures(fragile.worker_urls, "parley_lag_seconds")) > 1

        await eventually(is_late)
        away = ["MongoDB does not answer"]
        services = ("gateway-1", "gateway-2", "worker-1", "worker-2")
        assert problems(fragile) == dict.fromkeys(services, away)
        urls = [*fragile.gateway_urls, *fragile.worker_urls]
        assert await figures(urls, "parley_database_connected") == [0] * len(urls)
        assert await figures(urls, "parley_ready") == [0] * len(urls)
    finally:
        fragile.signal("mongodb", signal.SIGCONT)

    async def is_stored() -> bool:
        return await figures(fragile.worker_urls, "parley_lag_seconds") == [0, 0]

    await eventually(is_stored)
    assert problems(fragile) == {}


async def test_a_dead_letter_is_counted_and_logged(
    fragile: Stack, users: ChatUsers, dead_letters: DeadLetters
) -> None:
    async def count() -> float:
        return sum(await figures(fragile.worker_urls, "parley_dead_letters_total"))

    before = await count()
    async with Exchange(fragile) as exchange:
        await exchange.publish("a conversation", b"\xc1garbage")
    assert await eventually(dead_letters.take)

    async def is_counted() -> bool:
        return await count() == before + 1

    await eventually(is_counted)
    assert sum(await figures(fragile.worker_urls, 'parley_errors_total{kind="record"}')) >= 1
    logs = "".join(fragile.log(f"worker-{number}").read_text() for number in (1, 2))
    assert '"event": "worker.record.unreadable"' in logs


async def test_a_gateway_without_redis_reports_a_stale_bus(fragile: Stack) -> None:
    async def are_stale(value: float) -> bool:
        return await figures(fragile.gateway_urls, "parley_bus_stale") == [value, value]

    assert await are_stale(0)
    fragile.kill("redis")
    try:
        await eventually(lambda: are_stale(1))
        assert problems(fragile)["gateway-1"] == ["the Redis bus is stale"]
    finally:
        fragile.start("redis")
    await eventually(lambda: are_stale(0))


async def test_refusals_are_counted_by_their_codes(fragile: Stack, users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")

    async def count() -> float:
        return sum(await figures(fragile.gateway_urls, 'parley_refusals_total{code="NOT_FOUND"}'))

    before = await count()
    assert (await alice.call("joinRoom", {"conversationId": "nowhere"}))["error"]["code"] == "NOT_FOUND"
    assert (await users.user("bob").rest("GET", "/chats/conversations/nowhere"))[0] == 404
    assert await count() == before + 2
