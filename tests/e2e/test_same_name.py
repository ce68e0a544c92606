"""Of two sends with one `clientMessageId` the first is stored, and no other."""

import asyncio
import uuid
from typing import Any

import pytest

from clients.baseline import refusal
from clients.chat import ChatUsers, Socket, User, eventually

pytestmark = pytest.mark.usefixtures("quiet")


async def on_both_gateways(user: User) -> tuple[Socket, Socket]:
    """Connect two sockets of one user, to two gateways."""
    sockets = [await user.socket()]
    while sockets[-1].node == sockets[0].node:
        sockets.append(await user.socket())
    return sockets[0], sockets[-1]


async def documents(database: Any, group: str) -> list[Any]:
    found: list[Any] = await database["messages"].find({"conversationId": group}).to_list(None)
    return found


async def test_other_content_on_the_same_gateway_is_a_conflict(users: ChatUsers, database: Any) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    name = str(uuid.uuid4())
    first = await alice.send(group, "the first", clientMessageId=name, tempId="one")

    for content in ("the second", "the first ", "The first"):
        wish = {"conversationId": group, "content": content, "clientMessageId": name, "tempId": "two"}
        error = refusal(await alice.call("sendMessage", wish), "CONFLICT")
        assert error["details"] == {"messageId": first["_id"]}

    await alice.send(group, "after", tempId="after")
    assert (await alice.wait_for("messageSent", tempId="after"))["seq"] == 2
    assert [m["content"] for m in await documents(database, group)] == ["the first", "after"]
    await eventually(lambda: len(bob.messages(group)) == 2)
    assert [m["content"] for m in bob.messages(group)] == ["the first", "after"]


async def test_other_content_on_another_gateway_is_rejected_in_time(users: ChatUsers, database: Any) -> None:
    one, other = await on_both_gateways(users.user("alice"))
    group = await users.group(one, "bob")
    name = str(uuid.uuid4())
    first = await one.send(group, "the first", clientMessageId=name, tempId="one")
    await one.wait_for("messageSent", tempId="one")

    await other.send(group, "the second", clientMessageId=name, tempId="two")

    rejected = await other.wait_for("messageRejected", tempId="two")
    assert rejected["error"]["code"] == "CONFLICT"
    assert rejected["error"]["retryable"] is False
    assert (rejected["messageId"], rejected["clientMessageId"]) == (first["_id"], name)
    assert rejected["conversationId"] == group
    await other.send(group, "after", tempId="after")
    assert (await other.wait_for("messageSent", tempId="after"))["seq"] == 2
    assert [m["content"] for m in await documents(database, group)] == ["the first", "after"]


async def test_one_of_two_concurrent_sends_on_two_gateways_is_stored(users: ChatUsers, database: Any) -> None:
    one, other = await on_both_gateways(users.user("alice"))
    group = await users.group(one, "bob")
    for _ in range(10):
        name = str(uuid.uuid4())

        await asyncio.gather(
            one.send(group, "by one", clientMessageId=name),
            other.send(group, "by the other", clientMessageId=name),
        )

        sent = await one.wait_for("messageSent", clientMessageId=name)
        rejected = await one.wait_for("messageRejected", clientMessageId=name)
        assert rejected["messageId"] == sent["messageId"]
    contents = [m["content"] for m in await documents(database, group)]
    assert len(contents) == 10
    assert set(contents) <= {"by one", "by the other"}
    assert await users.user("bob").unread(group) == 10


@pytest.mark.parametrize("through", ["the same gateway", "another gateway"])
async def test_the_case_of_a_client_message_id_does_not_matter(
    through: str, users: ChatUsers, database: Any
) -> None:
    one, other = await on_both_gateways(users.user("alice"))
    group = await users.group(one, "bob")
    name = str(uuid.uuid4())
    again = one if through == "the same gateway" else other

    first = await one.send(group, "hello", clientMessageId=name.upper(), tempId="one")
    confirmed = await one.wait_for("messageSent", tempId="one")
    assert first["clientMessageId"] == confirmed["clientMessageId"] == name.upper()
    second = await again.send(group, "hello", clientMessageId=name, tempId="two")

    assert first["_id"] == second["_id"]
    await again.wait_for("messageSent", messageId=first["_id"], seq=1)
    assert len(await documents(database, group)) == 1
    wish = {"conversationId": group, "content": "other", "clientMessageId": name.upper()}
    if again is one:
        refusal(await again.call("sendMessage", wish), "CONFLICT")


async def test_the_same_content_again_is_the_same_message(users: ChatUsers, database: Any) -> None:
    one, other = await on_both_gateways(users.user("alice"))
    group = await users.group(one, "bob")
    name = str(uuid.uuid4())

    sent_message = [await s.send(group, "hello", clientMessageId=name) for s in (one, one, other, other)]

    assert len({message["_id"] for message in sent_message}) == 1
    await one.send(group, "after", tempId="after")
    assert (await one.wait_for("messageSent", tempId="after"))["seq"] == 2
    assert len(await documents(database, group)) == 2
    assert one.events("messageRejected") == other.events("messageRejected") == []


async def test_a_client_message_id_is_unique_per_sender_and_conversation(
    users: ChatUsers, database: Any
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    here, there = await users.group(alice, "bob"), await users.group(alice, "bob")
    name = str(uuid.uuid4())

    sent_message = [
        await alice.send(here, "alice here", clientMessageId=name),
        await alice.send(there, "alice there", clientMessageId=name),
        await bob.send(here, "bob here", clientMessageId=name),
    ]

    assert len({message["_id"] for message in sent_message}) == 3
    await bob.wait_for("messageSent", clientMessageId=name)
    assert {m["content"] for m in await documents(database, here)} == {"alice here", "bob here"}


async def test_a_refused_send_does_not_use_up_its_client_message_id(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    name = str(uuid.uuid4())
    wish = {"conversationId": group, "clientMessageId": name}

    refusal(await alice.call("sendMessage", {**wish, "content": ""}), "INVALID")
    refusal(await alice.call("sendMessage", {**wish, "content": "x", "more": 1}), "INVALID")
    refusal(
        await alice.call("sendMessage", {**wish, "content": "x", "conversationId": "nowhere"}), "NOT_FOUND"
    )

    await alice.call_ok("sendMessage", {**wish, "content": "now it is right", "tempId": "t"})
    await alice.wait_for("messageSent", tempId="t", seq=1)
