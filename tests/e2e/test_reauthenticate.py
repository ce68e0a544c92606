"""A socket is closed when its token expires, unless another token has replaced it."""

import time
from contextlib import suppress
from typing import Any

import pytest

from clients.baseline import refusal
from clients.chat import ChatUsers, Socket, User, eventually
from clients.javascript import Program
from clients.raw import RawSocket
from clients.tokens import CLOSED_SECONDS, assert_closed, fresh, seconds_of
from parley.gateway.protocols.groups import GROUPS
from parley.stack import Stack

SHORT = 3.0
LONG = 3600.0

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def alice(users: ChatUsers, stack: Stack) -> User:
    """A user whose token expires in a moment."""
    alice = users.user("alice")
    alice.token = fresh(stack.jwt_secret, alice.id, SHORT)
    return alice


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_socket_is_closed_when_its_token_expires(transport: str, alice: User) -> None:
    ends = time.monotonic() + SHORT
    socket = await alice.socket(transport)

    await assert_closed(socket, ends)

    assert time.monotonic() > ends - 1


async def test_a_client_that_ignores_the_disconnect_is_closed_too(alice: User, stack: Stack) -> None:
    ends = time.monotonic() + SHORT
    raw = await (await RawSocket(stack.url).open()).connect_namespace({"token": alice.token})

    await raw.wait_for("41/chat,")
    await eventually(lambda: raw.is_closed, max(0.1, ends + CLOSED_SECONDS - time.monotonic()))
    await raw.close()


async def test_a_socket_is_not_answered_after_its_token_expired(alice: User, stack: Stack) -> None:
    raw = await (await RawSocket(stack.url).open()).connect_namespace({"token": alice.token})
    await raw.wait_for("41/chat,")

    with suppress(ConnectionError):
        await raw.send('42/chat,7["getOnlineUsers"]')
    await eventually(lambda: raw.is_closed, CLOSED_SECONDS)

    assert not any(frame.startswith("43/chat,7") for frame in raw.frames)
    await raw.close()


async def test_a_namespace_opened_by_another_token_on_the_connection_stays(alice: User, stack: Stack) -> None:
    raw = await (await RawSocket(stack.url).open()).connect_namespace({"token": alice.token})
    await raw.send(f'40/messages,{{"token":"{fresh(stack.jwt_secret, alice.id, LONG)}"}}')
    await raw.wait_for("40/messages,")

    await raw.wait_for("41/chat,")
    until = time.monotonic() + CLOSED_SECONDS
    await eventually(lambda: time.monotonic() > until)

    assert not raw.is_closed
    await raw.send('42/messages,1["typing",{}]')
    await raw.wait_for("43/messages,1[")
    await raw.close()


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]], ids=lambda t: t[0])
async def test_the_javascript_client_reconnects_with_another_token_after_expiry(
    transports: list[str], alice: User, stack: Stack
) -> None:
    program = await Program.start()
    try:
        socket = await program.connect(alice, stack.url, GROUPS, transports)

        assert await socket.wait_for("disconnect") == "io server disconnect"
        assert (await socket.inspect())["connected"] is False
        assert len(socket.events("open")) == 1

        alice.token = fresh(stack.jwt_secret, alice.id)
        again = await program.connect(alice, stack.url, GROUPS, transports)
        assert (await again.inspect())["connected"] is True
    finally:
        await program.stop()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_another_token_keeps_the_socket(
    transport: str, alice: User, users: ChatUsers, stack: Stack
) -> None:
    ends = time.time() + SHORT
    socket = await alice.socket(transport)
    bob = await users.user("bob").socket()
    group = await users.group(bob, "alice")
    await socket.wait_for("conversationCreated")
    await socket.call_ok("joinRoom", {"conversationId": group})

    renewed = await socket.call_ok("reauthenticate", {"token": fresh(stack.jwt_secret, alice.id, LONG)})

    assert abs(seconds_of(renewed["expiresAt"]) - (time.time() + LONG)) < 10
    assert renewed["expiresAt"].endswith("Z")
    await eventually(lambda: time.time() > ends + CLOSED_SECONDS)
    assert socket.connected
    await bob.send(group, "still there?")
    await socket.wait_for("newMessage", conversationId=group)
    await socket.call_ok("getOnlineUsers")


async def test_the_socket_is_closed_when_the_other_token_expires(users: ChatUsers, stack: Stack) -> None:
    alice = users.user("alice")
    alice.token = fresh(stack.jwt_secret, alice.id, LONG)
    socket = await alice.socket()

    await socket.call_ok("reauthenticate", {"token": fresh(stack.jwt_secret, alice.id, SHORT)})

    await assert_closed(socket, time.monotonic() + SHORT)


@pytest.mark.parametrize("expires", [2**53, 10**18])
async def test_the_expiry_of_a_very_long_token_is_capped(expires: int, alice: User, stack: Stack) -> None:
    socket = await alice.socket()

    renewed = await socket.call_ok(
        "reauthenticate", {"token": fresh(stack.jwt_secret, alice.id, exp=expires)}
    )

    assert renewed["expiresAt"].startswith("9999-12-31")


async def unchanged(socket: Socket, answer: dict[str, Any], code: str, ends: float) -> None:
    """Check that the token was refused and the socket is closed at its first token's expiry."""
    refusal(answer, code)
    await socket.call_ok("getOnlineUsers")
    await assert_closed(socket, ends)


@pytest.mark.parametrize("role", [None, "admin"])
async def test_another_user_s_token_changes_nothing(
    role: str | None, alice: User, users: ChatUsers, stack: Stack
) -> None:
    ends = time.monotonic() + SHORT
    socket = await alice.socket()
    theirs = fresh(stack.jwt_secret, users.user("mallory").id, LONG, role=role)

    await unchanged(socket, await socket.call("reauthenticate", {"token": theirs}), "FORBIDDEN", ends)


@pytest.mark.parametrize("wrong", ["", "expired", "forged"])
async def test_an_untrusted_token_changes_nothing(wrong: str, alice: User, stack: Stack) -> None:
    ends = time.monotonic() + SHORT
    socket = await alice.socket()
    tokens = {
        "expired": fresh(stack.jwt_secret, alice.id, -1),
        "forged": fresh("another secret that is quite as long as the first", alice.id),
    }

    answer = await socket.call("reauthenticate", {"token": tokens.get(wrong, wrong)})

    await unchanged(socket, answer, "UNAUTHORIZED" if wrong else "INVALID", ends)


@pytest.mark.parametrize("payload", [None, {}, {"token": 5}, {"token": None}, {"token": "x" * 20_000}, "x"])
async def test_an_invalid_token_is_refused_with_its_reason(payload: Any, users: ChatUsers) -> None:
    (socket,) = await users.sockets("alice")

    refusal(await socket.call("reauthenticate", payload), "INVALID")
    assert socket.connected


async def test_the_role_of_the_other_token_applies_from_then_on(users: ChatUsers, stack: Stack) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(bob, "alice")
    await alice.wait_for("conversationCreated")
    sent = {"conversationId": group, "content": "The house is open.", "type": "system"}
    refusal(await alice.call("sendMessage", sent), "FORBIDDEN")

    admin = fresh(stack.jwt_secret, users.user("alice").id, role="admin")
    await alice.call_ok("reauthenticate", {"token": admin})

    await alice.call_ok("sendMessage", sent)
