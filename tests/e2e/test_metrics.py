"""Operators see in the metrics who connects, what is sent and delivered, and how long it takes."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version

import pytest

from clients.chat import ChatUsers, eventually
from clients.metrics import figures
from parley.stack import Stack

VERSION = version("parley-shared")
Grown = Callable[..., Awaitable[bool]]


@pytest.fixture
def grown(stack: Stack) -> Grown:
    """Tells whether each of these metrics has grown since its first use, over all gateways."""
    before: dict[str, float] = {}

    async def grown(*names: str) -> bool:
        now = {name: sum(await figures(stack.gateway_urls, name)) for name in names}
        for name, value in now.items():
            before.setdefault(name, value)
        return all(value > before[name] for name, value in now.items())

    return grown


async def test_a_message_shows_in_the_events_and_the_times(users: ChatUsers, grown: Grown) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    names = (
        'parley_events_received_total{command="SendMessage"}',
        'parley_deliveries_total{event="newMessage"}',
        "parley_accepted_to_stored_seconds_count",
        "parley_accepted_to_delivered_seconds_count",
        "parley_fan_out_seconds_count",
        'parley_command_seconds_count{command="SendMessage"}',
        'parley_command_seconds_sum{command="SendMessage"}',
        'parley_batch_records_count{hop="publish"}',
        'parley_batch_records_count{hop="bus"}',
    )
    assert not await grown(*names)
    await alice.send(group, "hello")
    await eventually(lambda: grown(*names))


async def test_clients_that_come_and_go_show_with_outcome_and_reason(
    users: ChatUsers, stack: Stack, grown: Grown
) -> None:

    connected = 'parley_connects_total{outcome="connected"}'
    gone = 'parley_disconnects_total{reason="transport close"}'
    assert not await grown(connected, gone)
    (alice,) = await users.sockets("alice")
    assert await grown(connected)
    assert sum(await figures(stack.gateway_urls, 'parley_sockets{transport="websocket"}')) >= 1
    await alice.close()
    await eventually(lambda: grown(gone))


async def test_requests_show_by_route_and_those_of_unknown_paths_under_one_name(
    users: ChatUsers, stack: Stack, grown: Grown
) -> None:
    known = 'parley_http_request_seconds_count{method="GET",route="/chats/conversations",status="200"}'
    unknown = 'parley_http_request_seconds_count{method="unknown",route="unknown",status="404"}'
    assert not await grown(known, unknown)
    alice = users.user("alice")
    assert (await alice.rest("GET", "/chats/conversations"))[0] == 200
    assert (await alice.rest("GET", "/no/such/path"))[0] == 404
    await eventually(lambda: grown(known, unknown))


async def test_bytes_show_by_the_name_of_the_event(users: ChatUsers, stack: Stack) -> None:
    async def total(name: str) -> float:
        return sum(await figures(stack.gateway_urls, name))

    received, delivered = (
        'parley_received_bytes_total{command="SendMessage"}',
        'parley_delivered_bytes_total{event="newMessage"}',
    )
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    before = [await total(name) for name in (received, delivered)]
    await alice.send(group, "x" * 1_000)
    await bob.wait_for("newMessage")
    await eventually(lambda: alice.messages(group))
    grown = [await total(name) - value for name, value in zip((received, delivered), before, strict=True)]
    assert grown[0] > 1_000
    assert grown[1] > 2 * 1_000


async def test_calls_of_mongodb_show_by_operation(users: ChatUsers, stack: Stack) -> None:
    async def finds(urls: list[str]) -> float:
        return sum(await figures(urls, 'parley_database_seconds_count{operation="find"}'))

    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    gateways, workers = await finds(stack.gateway_urls), await finds(stack.worker_urls)
    await alice.send(group, "hello")
    assert (await users.user("bob").rest("GET", f"/chats/conversations/{group}/messages"))[0] == 200

    async def have_grown() -> bool:
        return await finds(stack.gateway_urls) > gateways and await finds(stack.worker_urls) > workers

    await eventually(have_grown)


async def test_each_service_shows_that_it_is_ready_and_its_partitions(stack: Stack) -> None:
    urls = [*stack.gateway_urls, *stack.worker_urls]
    for name, value in (("parley_ready", 1), ("parley_database_connected", 1), ("parley_partitions", 8)):
        assert await figures(urls, name) == [value] * len(urls)


async def test_each_service_shows_its_memory_and_its_garbage_collections(stack: Stack) -> None:
    urls = [*stack.gateway_urls, *stack.worker_urls]
    assert all(await figures(urls, 'parley_gc_seconds_count{generation="0"}'))
    assert min(await figures(urls, "process_resident_memory_bytes")) > 1 << 20


async def test_each_service_shows_its_version(stack: Stack) -> None:
    for urls in (stack.gateway_urls, stack.worker_urls):
        assert await figures(urls, f'parley_build_info{{version="{VERSION}"}}') == [1.0] * len(urls)
