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


async def test_each_service_shows_its_version(stack: Stack) -> None:
    for urls in (stack.gateway_urls, stack.worker_urls):
        assert await figures(urls, f'parley_build_info{{version="{VERSION}"}}') == [1.0] * len(urls)
