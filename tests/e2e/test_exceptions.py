"""Refusals are reported by the `exception` event to clients that ask for no acknowledgement."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from clients.baseline import Baseline
from clients.chat import ChatUsers
from clients.raw import RawSocket
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS
from parley.shared.model import MAX_CONTENT
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

Open = Callable[[ClientProtocol], Awaitable[RawSocket]]
OTHERS = "a-conversation-of-others"


@pytest.fixture
async def open_socket(users: ChatUsers, stack: Stack) -> AsyncIterator[Open]:
    """Open sockets of alice in the namespace of a protocol."""
    opened: list[RawSocket] = []

    async def open_in(protocol: ClientProtocol) -> RawSocket:
        opened.append(await RawSocket(stack.url, protocol.namespace).open())
        return await opened[-1].connect_namespace({"token": users.user("alice").token})

    yield open_in
    await asyncio.gather(*(socket.close() for socket in opened))


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
async def test_each_refused_event_of_each_protocol_is_reported(
    protocol: ClientProtocol, open_socket: Open
) -> None:
    for event in (*protocol.inbound, "noSuchEvent"):
        socket = await open_socket(protocol)
        wrong = {"unknown field": 1, "clientMessageId": "mine", "tempId": "temporary"}

        await socket.emit(json.dumps([event, wrong]))

        reported = await socket.wait_for_event("exception")
        error = reported.pop("error")
        assert reported == {"event": event, "clientMessageId": "mine", "tempId": "temporary"}
        assert error["code"] in ("INVALID", "UNKNOWN_EVENT")
        assert (type(error["message"]), error["retryable"]) == (str, False)


@pytest.mark.parametrize(
    ("event", "payload", "code"),
    [
        ("sendMessage", {"content": "x" * (MAX_CONTENT + 1)}, "INVALID"),
        ("sendMessage", {"conversationId": OTHERS, "content": "hello"}, "NOT_FOUND"),
        ("editMessage", {"messageId": str(uuid.uuid4()), "content": "hello"}, "NOT_FOUND"),
        ("markAsRead", {"conversationId": OTHERS, "messageId": str(uuid.uuid4())}, "NOT_FOUND"),
        ("joinRoom", {"conversationId": OTHERS}, "NOT_FOUND"),
        ("sendMessage", ["no object"], "INVALID"),
        ("sendMessage", None, "INVALID"),
    ],
)
async def test_a_refused_command_is_reported_with_its_code(
    event: str, payload: Any, code: str, baseline: Baseline, users: ChatUsers
) -> None:
    alice = await users.user("alice").socket()

    await alice.emit(event, payload)

    reported = await alice.wait_for("exception")
    assert (reported["event"], reported["error"]["code"]) == (event, code)


async def test_accepted_events_and_acknowledged_refusals_are_not_reported(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")

    await alice.emit("sendMessage", {"conversationId": group, "content": "hello"})
    assert not (await alice.call("sendMessage", {"conversationId": group}))["success"]

    await alice.wait_for("messageSent")
    await alice.call("getOnlineUsers")
    assert alice.events("exception") == bob.events("exception") == []
