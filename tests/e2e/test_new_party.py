"""A new party of a contract reads nothing of what was said before, in no way of reading."""

import asyncio

import pytest

from clients.baseline import refusal
from clients.chat import ChatUsers, Socket, User, eventually
from clients.contracts import ALL, SampleContract, contents
from clients.uploads import attached, read
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")


class Exchange:
    """A contract whose freelancer is exchanged after two messages; the first has a file."""

    def __init__(self, users: ChatUsers, stack: Stack) -> None:
        self.contract = SampleContract(users)
        self.url, self._urls = stack.url, stack.gateway_urls
        self.ann, self.ben, self.cid = self.contract.ann, self.contract.ben, self.contract.cid

    async def prepare(self) -> "Exchange":
        await self.contract.save(self.ann, self.ben)
        self.file = await attached(self.url, self.ann, b"a secret file")
        first = await self.contract.start_conversation("secret one", attachments=[self.file["id"]])
        self.conversation = first["conversationId"]
        self.of = {"conversationId": self.conversation}
        second = await self.contract.start_conversation("secret two")
        self.secrets = [first["id"], second["id"]]
        self.sockets = {u.id: [await u.socket(url=url) for url in self._urls] for u in (self.ann, self.cid)}
        for socket in self.sockets[self.ann.id]:
            await socket.call_ok("joinRoom", self.of)
        return self

    @property
    def speaker(self) -> Socket:
        """A socket of ann."""
        return self.sockets[self.ann.id][0]

    async def replace_ben(self) -> None:
        """Make cid the freelancer, and have cid join."""
        await self.contract.save(self.ann, self.cid)
        for socket in self.sockets[self.cid.id]:
            await socket.wait_for("conversationCreated", _id=self.conversation)
            await socket.call_ok("joinRoom", self.of)


@pytest.fixture
async def exchange(users: ChatUsers, stack: Stack) -> Exchange:
    return await Exchange(users, stack).prepare()


async def test_a_new_party_reads_nothing_of_before(exchange: Exchange) -> None:
    await exchange.replace_ben()
    cid, of = exchange.cid, exchange.of
    (shown,) = exchange.sockets[cid.id][0].events("conversationCreated")
    assert (shown["lastMessage"], shown["unreadCount"]) == (None, 0)
    await assert_reads_nothing(exchange, cid)

    sent = await exchange.speaker.send(exchange.conversation, "hello cid, no secret")
    for socket in exchange.sockets[cid.id]:
        await socket.wait_for("newMessage", conversationId=exchange.conversation)
        await socket.wait_for("unreadCount", **of, unread=1)
        answer = await socket.call_ok("sync", {"conversations": {exchange.conversation: 0}})
        changes = answer["conversations"][exchange.conversation]
        assert [m["_id"] for m in changes["messages"]] == [sent["_id"]]
        for event in ("editMessage", "deleteMessage", "markAsRead"):
            for secret in exchange.secrets:
                payload = {"messageId": secret, **({"content": "x"} if event == "editMessage" else {})}
                refusal(await socket.call(event, payload), "NOT_FOUND")
    await assert_reads(exchange, cid, [sent["_id"]])
    assert await contents(exchange.ann, exchange.conversation) == [
        "secret one",
        "secret two",
        sent["content"],
    ]


async def assert_reads_nothing(exchange: Exchange, user: User) -> None:
    _, listed = await user.rest("GET", "/chats/conversations")
    _, one = await user.rest("GET", f"/chats/conversations/{exchange.conversation}")
    for seen in (*listed["conversations"], one):
        assert (seen["lastMessage"], seen["unreadCount"]) == (None, 0)
    await assert_reads(exchange, user, [])


async def assert_reads(exchange: Exchange, user: User, wanted: list[str]) -> None:
    """Check that a user reads these messages only, by all routes."""
    place = exchange.conversation
    assert [m["_id"] for m in await user.history(place)] == wanted
    for query in ({}, {"before": 3}, {"before": 100, "limit": 100}):
        _, page = await user.rest("GET", f"/chats/conversations/{place}/messages", **query)
        assert [m["_id"] for m in page["messages"]] == ([] if query.get("before") == 3 else wanted)
        assert page["nextCursor"] is None
    _, answer = await user.rest("GET", f"{ALL}/{place}/messages")
    assert [m["id"] for m in answer["data"]["messages"]] == wanted
    assert answer["data"]["total"] == len(wanted)
    _, rooms = await user.rest("GET", "/chat-messages", chatId=place)
    assert "secret one" not in str(rooms)
    assert "secret two" not in str(rooms)
    for query in ({}, {"conversationId": place}):
        _, found = await user.rest("GET", "/search", q="secret", **query)
        assert [m["_id"] for m in found["messages"]] == wanted
    for secret in exchange.secrets:
        assert (await user.rest("GET", f"/chat-messages/{secret}"))[0] == 404
        assert (await user.rest("PUT", f"/chat/messages/{secret}/read"))[0] == 404
    assert (await read(exchange.url, user, exchange.file["url"])).status == 404


async def test_a_change_of_an_earlier_message_does_not_reach_a_new_party(exchange: Exchange) -> None:
    await exchange.replace_ben()
    first, second = exchange.secrets
    await exchange.speaker.call_ok("editMessage", {"messageId": second, "content": "secret three"})
    await exchange.speaker.call_ok("deleteMessage", {"messageId": first})
    for socket in exchange.sockets[exchange.ann.id]:
        await socket.wait_for("messageUpdated")
        await socket.wait_for("messageDeleted")

    await exchange.speaker.send(exchange.conversation, "hello")
    for socket in exchange.sockets[exchange.cid.id]:
        await socket.wait_for("newMessage")
        assert socket.events("messageUpdated") == socket.events("messageDeleted") == []
    assert await contents(exchange.cid, exchange.conversation) == ["hello"]


async def test_a_new_party_cannot_send_an_earlier_file_to_read_it(exchange: Exchange) -> None:
    await exchange.replace_ben()
    wish = {**exchange.of, "type": "file", "attachments": [exchange.file["id"]]}
    refusal(await exchange.sockets[exchange.cid.id][0].call("sendMessage", wish), "NOT_FOUND")
    await exchange.speaker.call_ok("sendMessage", wish)

    async def status() -> bool:
        return (await read(exchange.url, exchange.cid, exchange.file["url"])).status == 200

    await eventually(status)


async def test_messages_that_were_just_accepted_are_hidden_though_stored_later(exchange: Exchange) -> None:
    wishes = [{**exchange.of, "content": f"secret {number}"} for number in range(100)]
    await asyncio.gather(*(exchange.speaker.call_ok("sendMessage", wish) for wish in wishes))
    await exchange.replace_ben()

    await exchange.speaker.send(exchange.conversation, "hello cid")
    for socket in exchange.sockets[exchange.cid.id]:
        await socket.wait_for("newMessage")
        assert [m["content"] for m in socket.messages(exchange.conversation)] == ["hello cid"]
    assert await contents(exchange.cid, exchange.conversation) == ["hello cid"]
    assert len(await exchange.ann.history(exchange.conversation)) == 103


async def test_a_party_that_returns_reads_new_messages_only(exchange: Exchange) -> None:
    await exchange.replace_ben()
    await exchange.speaker.send(exchange.conversation, "for cid")
    await exchange.sockets[exchange.cid.id][0].wait_for("newMessage")
    await exchange.contract.save(exchange.ann, exchange.ben)

    await exchange.speaker.send(exchange.conversation, "for ben")
    await eventually(lambda: _last_of(exchange.ben, exchange.conversation, "for ben"))
    assert await contents(exchange.ben, exchange.conversation) == ["for ben"]


async def _last_of(user: User, conversation: str, content: str) -> bool:
    return (await contents(user, conversation))[-1:] == [content]


async def test_a_contract_that_shares_its_history_opens_it(exchange: Exchange) -> None:
    await exchange.replace_ben()
    assert await contents(exchange.cid, exchange.conversation) == []
    await exchange.contract.save(exchange.ann, exchange.cid, shareHistory=True)
    assert await contents(exchange.cid, exchange.conversation) == ["secret one", "secret two"]
    assert (await read(exchange.url, exchange.cid, exchange.file["url"])).body == b"a secret file"

    await exchange.contract.save(exchange.ann, exchange.ben, shareHistory=True)
    assert await contents(exchange.ben, exchange.conversation) == ["secret one", "secret two"]
    status, _ = await exchange.contract.clerk.rest(
        "PUT",
        f"/api/contracts/{exchange.contract.id}",
        {"clientId": exchange.ann.id, "freelancerId": exchange.ben.id, "shareHistory": "yes"},
    )
    assert status == 400
