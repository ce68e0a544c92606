"""The admin page's API: roles, errors, what it shows of a running stack, and its time limits."""

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from clients.admin_page import AdminPage, environment_of, serving
from clients.chat import ChatUsers, User, eventually
from clients.poison import send_unstorable
from clients.stalled_client import StalledClient
from clients.workers import DeadLetters
from parley.cli.admin import watch
from parley.stack import Stack

NOBODY = "http://127.0.0.1:9"
"""An address at which nothing listens."""


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[AdminPage]:
    async with serving(environment_of(stack)) as page:
        yield page


@pytest.fixture
def admin(users: ChatUsers) -> User:
    return users.user("root", role="admin")


async def until(page: AdminPage, token: str, holds: Callable[[Any], Any]) -> Any:
    """Return the first overview of which something holds."""

    async def look() -> Any:
        found = await page.overview(token)
        return found if holds(found) else None

    return await eventually(look)


@pytest.mark.parametrize("path", ["overview", "users", "dead-letters"])
async def test_only_an_administrator_gets_an_answer(path: str, page: AdminPage, users: ChatUsers) -> None:
    tokens = {None: 401, "nonsense": 401, users.user("alice").token: 403}
    for token, expected in tokens.items():
        status, body, headers = await page.ask_all(path, token)
        assert (status, body["success"], body["error"]["retryable"]) == (expected, False, False)
        assert body["error"]["code"] == {401: "UNAUTHORIZED", 403: "FORBIDDEN"}[expected]
        assert body["error"]["message"]
        assert headers.get("WWW-Authenticate") == ("Bearer" if expected == 401 else None)
        assert headers["Cache-Control"] == "no-store"


async def test_a_token_in_the_address_is_not_taken(page: AdminPage, admin: User) -> None:
    assert (await page.ask(f"overview?token={admin.token}", None))[0] == 401


@pytest.mark.parametrize("path", ["/admin/session", "/admin/slow-clients"])
async def test_a_gateway_answers_an_administrator_only(path: str, users: ChatUsers, admin: User) -> None:
    assert (await admin.rest("GET", path))[0] == 200
    status, body = await users.user("alice").rest("GET", path)
    assert (status, body["error"]["code"]) == (403, "FORBIDDEN")


async def test_the_overview_shows_every_service(page: AdminPage, admin: User, stack: Stack) -> None:
    found = await until(
        page, admin.token, lambda it: all(p["owners"] for p in it["rabbitmq"]["partitions"] or [{}])
    )
    assert {each["name"]: each["state"] for each in found["gateways"]} == {"g1": "ready", "g2": "ready"}
    assert [f"http://{each['address']}" for each in found["workers"]] == stack.worker_urls
    assert {each["state"] for each in found["workers"]} == {"ready"}
    owners = {p["owners"][0].partition(".")[0] for p in found["rabbitmq"]["partitions"]}
    assert owners == {each["id"] for each in found["workers"]}
    assert found["mongodb"]["messages"] >= 0
    assert found["administrator"] == admin.id
    assert [each for each in found["attention"] if each["level"] == "error"] == []


async def test_without_the_setting_and_a_stored_number_the_broker_s_partitions_are_shown(
    stack: Stack, admin: User
) -> None:
    server, _, query = stack.environment["MONGO_URL"].partition("/parley")
    empty = {"MONGO_URL": f"{server}/empty_{uuid.uuid4().hex[:8]}{query}", "PARTITIONS": ""}
    environment = environment_of(stack)
    unset = replace(environment, variables={**environment.variables, **empty})
    async with serving(unset) as page:
        found = await until(page, admin.token, lambda it: it["rabbitmq"].get("partitions"))
        assert len(found["rabbitmq"]["partitions"]) == 8


async def test_the_sockets_and_rates_follow_the_clients(
    page: AdminPage, admin: User, users: ChatUsers
) -> None:
    def sockets(found: Any) -> int:
        return sum(each["websocket"] + each["polling"] for each in found["gateways"])

    before = sockets(await page.overview(admin.token))
    alice = await users.user("alice").socket()
    bob = await users.user("bob").socket("polling")
    await until(page, admin.token, lambda it: sockets(it) == before + 2)
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})

    async def is_measured() -> Any:
        await alice.send(group, "hello")
        point = (await page.overview(admin.token))["history"][-1]
        return point["accepted"] and point["stored"] and point["storedP95"] and point["deliveredP50"]

    await eventually(is_measured)
    found = await page.overview(admin.token)
    assert users.user("alice").id in found["redis"]["some"] or found["redis"]["users"] > 30
    later = await page.ask("overview", admin.token, since=str(found["history"][-1]["at"]))
    assert len(later[1]["history"]) <= 1


async def test_a_user_is_shown_with_the_sockets_and_their_gateways(
    page: AdminPage, admin: User, users: ChatUsers
) -> None:
    socket = await users.user("alice").socket()
    status, found = await page.ask("users", admin.token, id=users.user("alice").id)
    assert (status, found["online"]) == (200, True)
    assert [each["gateway"] for each in found["sockets"]] == [socket.node]
    status, found = await page.ask("users", admin.token, id="../a?b")
    assert (status, found["online"], found["sockets"]) == (200, False, [])
    for wrong in ("", "x" * 200):
        status, body = await page.ask("users", admin.token, id=wrong)
        assert (status, body["error"]["code"]) == (400, "INVALID")


async def test_a_client_that_does_not_read_is_listed_with_its_user(
    page: AdminPage, admin: User, users: ChatUsers, stack: Stack
) -> None:
    alice, bob = await users.user("alice").socket(), users.user("bob")
    group = await users.group(alice, "bob")
    # Straight to a gateway: nginx would take in megabytes first.
    stalled = await asyncio.to_thread(StalledClient, stack.gateway_urls[0], bob)
    try:
        await asyncio.to_thread(stalled.join, group)

        gateway = User(stack.gateway_urls[0], users.secret, admin.id, role="admin")

        async def is_slow() -> Any:
            # Not many at once: past its limit the client would be disconnected.
            await asyncio.gather(*(alice.send(group, "x" * 8_000) for _ in range(10)))
            status, answer = await gateway.rest("GET", "/admin/slow-clients")
            assert status == 200, answer
            # With fewer, the kernel might still take them.
            return [e for e in answer["clients"] if e["userId"] == bob.id and e["unreadBytes"] > 200_000]

        assert await eventually(is_slow, 30)
        await gateway.close()
        found = await until(
            page, admin.token, lambda it: [each for each in it["slowClients"] if each["userId"] == bob.id]
        )
        (client,) = (each for each in found["slowClients"] if each["userId"] == bob.id)
        assert (client["transport"], client["gateway"]) == ("websocket", "g1")
        assert 0 < client["unreadBytes"] <= client["unreadLimit"]
    finally:
        stalled.close()


async def test_a_dead_letter_is_counted_and_shown_without_its_content(
    page: AdminPage, admin: User, users: ChatUsers, stack: Stack
) -> None:
    await DeadLetters(stack).take()
    alice = users.user("alice")
    group = await users.group(await alice.socket(), "bob")
    await send_unstorable(stack, alice, group)
    try:
        found = await until(page, admin.token, lambda it: it["rabbitmq"].get("deadLetters") == 1)
        assert "One record could not be stored" in str(found["attention"])
        status, letters = await page.ask("dead-letters", admin.token)
        assert (status, letters["count"]) == (200, 1)
        (letter,) = letters["letters"]
        # The worker could not store it, and this command cannot read it: so all of it is hidden.
        assert letter["records"][0]["content"].endswith(" hidden)")
        assert "OverflowError" in letter["reason"]
    finally:
        assert len(await DeadLetters(stack).take()) == 1


async def test_a_gateway_that_hangs_is_shown_within_a_second_and_delays_nothing(
    page: AdminPage, admin: User, stack: Stack
) -> None:
    await until(page, admin.token, lambda it: all(each["name"] for each in it["gateways"]))
    stack.signal("gateway-2", signal.SIGSTOP)
    try:
        await until(page, admin.token, lambda it: it["gateways"][1]["state"] == "silent")
        began = time.monotonic()
        found = await page.overview(admin.token)
        assert time.monotonic() - began < 1.0
        assert "The gateway g2 does not answer in time" in str(found["attention"])
        assert found["gateways"][0]["state"] == "ready"
    finally:
        stack.signal("gateway-2", signal.SIGCONT)
    await until(page, admin.token, lambda it: it["gateways"][1]["state"] == "ready")


async def test_a_first_look_takes_a_second_and_a_half_at_most(
    page: AdminPage, admin: User, stack: Stack
) -> None:
    stack.signal("gateway-1", signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = await page.overview(admin.token)
        # The token is first shown to the gateway that hangs.
        assert time.monotonic() - began < 0.75 + 1.5 + 0.5
        assert [each["state"] for each in found["gateways"]] == ["silent", "ready"]
    finally:
        stack.signal("gateway-1", signal.SIGCONT)


async def test_a_killed_gateway_is_gone_and_a_removed_one_is_no_fault(
    page: AdminPage, admin: User, stack: Stack
) -> None:
    page.name(gateways=(*stack.gateway_urls, NOBODY))
    found = await until(
        page, admin.token, lambda it: [each["state"] for each in it["gateways"][2:]] == ["gone"]
    )
    assert [each["state"] for each in found["gateways"]] == ["ready", "ready", "gone"]
    assert "The gateway 127.0.0.1:9 does not answer" in str(found["attention"])
    page.name(gateways=tuple(stack.gateway_urls))
    found = await until(page, admin.token, lambda it: it["gateways"][2]["state"] == "left")
    assert "127.0.0.1:9" not in str(found["attention"])


async def test_a_revoked_administrator_is_refused_at_once(
    page: AdminPage, admin: User, users: ChatUsers
) -> None:
    other = users.user("other", role="admin")
    await page.overview(other.token)
    assert (await admin.rest("POST", "/admin/revoke", {"userId": other.id}))[0] == 200

    async def is_refused() -> bool:
        return (await page.ask("overview", other.token))[0] == 401

    await eventually(is_refused, 5)


async def test_an_administrator_goes_on_looking_while_no_gateway_answers(
    page: AdminPage, admin: User, users: ChatUsers
) -> None:
    await page.overview(admin.token)
    page.name(gateways=(NOBODY,))
    await until(page, admin.token, lambda it: it["gateways"][-1]["state"] == "gone")
    status, body, headers = await page.ask_all("overview", users.user("new", role="admin").token)
    assert (status, body["error"]["code"], body["error"]["retryable"]) == (503, "UNAVAILABLE", True)
    assert headers["Retry-After"] == "1"


async def test_a_server_that_is_away_is_named_and_the_rest_is_shown(
    page: AdminPage, admin: User, stack: Stack
) -> None:
    variables = {**stack.environment, "RABBITMQ_URL": "amqp://guest:guest@127.0.0.1:9/"}
    page.environment = type(page.environment)(
        variables=variables, gateways=tuple(stack.gateway_urls), workers=tuple(stack.worker_urls)
    )
    found = await page.overview(admin.token)
    assert found["rabbitmq"]["error"].startswith("RabbitMQ cannot be reached (")
    assert found["rabbitmq"]["error"] in str(found["attention"])
    assert {each["state"] for each in found["gateways"]} == {"ready"}
    assert found["mongodb"]["messages"] >= 0
    status, body = await page.ask("dead-letters", admin.token)
    assert (status, body["error"]["message"].startswith("RabbitMQ cannot be reached (")) == (503, True)


async def test_nothing_is_asked_while_nobody_looks(
    page: AdminPage, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "IDLE_SECONDS", 0.5)

    await page.overview(admin.token)
    assert watching()
    await eventually(lambda: not watching())
    assert (await page.overview(admin.token))["gateways"][0]["state"] == "ready"


def watching() -> bool:
    """Whether this process has a task that looks."""
    return any("Watch._run" in repr(task.get_coro()) for task in asyncio.all_tasks())
