"""A user has one name everywhere, that of the newest token, as soon as a gateway has seen the token."""

import time
from typing import Any

import pytest

from clients.baseline import refusal
from clients.chat import ChatUsers, Socket, User, eventually, token
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

OLD, NEW = "Alice Old", "Alice New"
HOUR = 3600


class Renamed:
    """A user with an older and a newer token, which have different names."""

    def __init__(self, users: ChatUsers, stack: Stack) -> None:
        at = int(time.time())
        self.alice: User = users.user("alice")
        claims: dict[str, Any] = {"username": "alice", "exp": at + HOUR}
        self.old = token(stack.jwt_secret, self.alice.id, **claims, name=OLD, iat=at - 60, firstName="A")
        self.new = token(stack.jwt_secret, self.alice.id, **claims, name=NEW, iat=at - 30, role="admin")
        self.alice.token = self.old
        self._urls = stack.gateway_urls
        self._users = users

    async def prepare(self) -> "Renamed":
        self.sockets = [await self.alice.socket(url=url) for url in self._urls]
        (self.bob,) = await self._users.sockets("bob")
        self.group = await self._users.group(self.sockets[0], "bob")
        await self.bob.wait_for("conversationCreated", _id=self.group)
        await self.bob.call_ok("joinRoom", {"conversationId": self.group})
        await self.sockets[0].send(self.group, "before")
        await self.bob.wait_for("newMessage")
        return self

    async def name_by_live_message(self, sender: Socket) -> str:
        sent = await sender.send(self.group, "after")
        assert sent["sender"]["name"]
        await eventually(lambda: sent["_id"] in {m["_id"] for m in self.bob.messages(self.group)})
        (received,) = (m for m in self.bob.messages(self.group) if m["_id"] == sent["_id"])
        return str(received["sender"]["name"])

    async def names_by_rest(self) -> set[str]:
        bob = self._users.user("bob")
        history = {m["sender"]["name"] for m in await bob.history(self.group)}
        _, one = await bob.rest("GET", f"/chats/conversations/{self.group}")
        return history | {p["name"] for p in one["participants"] if p["_id"] == self.alice.id}


@pytest.fixture
async def renamed(users: ChatUsers, stack: Stack) -> Renamed:
    return await Renamed(users, stack).prepare()


async def test_the_next_token_of_one_socket_renames_the_user_everywhere(renamed: Renamed) -> None:
    first, second = renamed.sockets
    await first.call_ok("reauthenticate", {"token": renamed.new})

    assert await renamed.names_by_rest() == {NEW}
    assert await renamed.name_by_live_message(first) == NEW

    async def is_new() -> bool:
        return await renamed.name_by_live_message(second) == NEW

    await eventually(is_new)
    await second.call_ok("typing", {"conversationId": renamed.group})
    assert await renamed.names_by_rest() == {NEW}


async def test_an_older_token_brings_no_old_name_back(renamed: Renamed, stack: Stack) -> None:
    await renamed.sockets[0].call_ok("reauthenticate", {"token": renamed.new})

    status, _ = await renamed.alice.rest("GET", "/chats/conversations")
    assert status == 200
    again = [await renamed.alice.socket(url=url) for url in stack.gateway_urls]
    assert await renamed.names_by_rest() == {NEW}
    for socket in again:
        assert await renamed.name_by_live_message(socket) == NEW
    status, sent = await renamed.alice.rest(
        "POST", "/chat-messages", {"chatId": renamed.group, "content": "by REST"}
    )
    assert (status, NEW in str(sent)) == (201, True)


async def test_a_newer_name_gives_an_older_token_no_rights(renamed: Renamed) -> None:
    first, second = renamed.sockets
    await first.call_ok("reauthenticate", {"token": renamed.new})
    wish = {"conversationId": renamed.group, "content": "from the system", "type": "system"}
    await first.call_ok("sendMessage", wish)
    refusal(await second.call("sendMessage", wish), "FORBIDDEN")
