"""Recovery of a lost socket's state, tested frame by frame."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from clients.chat import NAMESPACE, ChatUsers, Socket, User, eventually, token
from clients.local_gateway import local_gateway
from clients.logs import logs_of
from clients.raw import RawSocket
from parley.shared import events, redis, rooms
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

RECOVERIES = 25
CONNECTED, EVENT = f"40{NAMESPACE},", f"42{NAMESPACE},"


class Visitor:
    """One client over many connections, which returns with the private id and offset of the real client."""

    def __init__(self, stack: Stack, user: User) -> None:
        self.user = user
        self.sid = self.pid = ""
        self.offset: str | None = None
        self._stack = stack
        self._sockets: list[RawSocket] = []
        self._calls = 0

    @property
    def raw(self) -> RawSocket:
        return self._sockets[-1]

    async def come(self, node: int = 0, **auth: Any) -> bool:
        """Connect; return whether the session was recovered."""
        before, kept = self.pid, {"pid": self.pid, "offset": self.offset} if self.pid else {}
        self._sockets.append(await RawSocket(self._stack.gateway_urls[node]).open())
        await self.raw.connect_namespace({"token": self.user.token, **kept, **auth})
        greeting = json.loads((await self.raw.wait_for(CONNECTED)).removeprefix(CONNECTED))
        self.sid, self.pid = greeting["sid"], greeting["pid"]
        return self.pid == before

    async def lose(self) -> None:
        """Lose the connection without a disconnect packet."""
        self.offset = self.last_offset() or self.offset
        await self.raw.close()

    def last_offset(self) -> str | None:
        offsets = [args for name, *args in self.events() if name == "offset"]
        return str(offsets[-1][0]) if offsets else None

    async def ask(self, event: str, **payload: Any) -> Any:
        self._calls += 1
        return await self.raw.call(self._calls, json.dumps([event, payload]))

    def events(self) -> list[list[Any]]:
        """Return the events received on the present connection."""
        return [json.loads(f.removeprefix(EVENT)) for f in self.raw.frames if f.startswith(EVENT)]

    def contents(self, conversation_id: str) -> list[str]:
        payloads = [args[0] for name, *args in self.events() if name == "newMessage"]
        return [p["message"]["content"] for p in payloads if p["conversationId"] == conversation_id]

    async def inbound(self, conversation_id: str, *contents: str) -> None:
        """Wait until this connection has received exactly these messages, in this order."""
        await eventually(lambda: len(self.contents(conversation_id)) >= len(contents))
        assert self.contents(conversation_id) == list(contents)

    async def close(self) -> None:
        for raw in self._sockets:
            await raw.close()


class Dawdler(RawSocket):
    """A client that stops reading once connected, until it is woken."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.awake = asyncio.Event()

    async def takes(self, frame: str) -> None:
        await super().takes(frame)
        if frame.startswith(CONNECTED):
            await self.awake.wait()


@pytest.fixture
async def bob(users: ChatUsers, stack: Stack) -> AsyncIterator[Visitor]:
    visitor = Visitor(stack, users.user("bob"))
    yield visitor
    await visitor.close()


@pytest.fixture
async def alice(users: ChatUsers) -> Socket:
    return await users.user("alice").socket()


@pytest.fixture
async def group(users: ChatUsers, alice: Socket, bob: Visitor) -> str:
    """Create a group of alice, bob and carol; bob has joined its room."""
    group = await users.group(alice, "bob", "carol")
    await bob.come()
    assert (await bob.ask("joinRoom", conversationId=group))["success"] is True
    return group


async def test_a_client_that_is_sent_away_recovers_at_another_gateway(
    stack: Stack, alice: Socket, bob: Visitor, group: str
) -> None:
    await alice.send(group, "before")
    await bob.inbound(group, "before")
    await eventually(bob.last_offset)
    order = events.Control(method=events.RECONNECT, namespace=NAMESPACE, sid=bob.sid)
    async with redis.connect(stack.redis_url) as client:
        await client.publish(rooms.channel(rooms.node("g1")), events.pack([order]))
    await bob.raw.wait_until_closed()
    bob.offset = bob.last_offset()
    await alice.send(group, "meanwhile")
    assert await bob.come(node=1)
    await bob.inbound(group, "meanwhile")


async def test_a_client_recovers_at_another_gateway_and_gets_the_missed_messages(
    alice: Socket, bob: Visitor, group: str
) -> None:
    await alice.send(group, "one")
    await bob.inbound(group, "one")
    await bob.lose()
    for content in ("two", "three"):
        await alice.send(group, content)

    assert await bob.come(node=1) is True
    await bob.inbound(group, "two", "three")
    await alice.send(group, "four")

    await bob.inbound(group, "two", "three", "four")


async def test_messages_written_to_a_dead_connection_are_replayed(
    alice: Socket, bob: Visitor, group: str
) -> None:
    for content in ("one", "two", "three"):
        await alice.send(group, content)
    await bob.inbound(group, "one", "two", "three")
    first = next(args[0] for name, *args in bob.events() if name == "offset")
    await bob.lose()

    assert await bob.come(node=1, offset=first) is True

    await bob.inbound(group, "two", "three")


async def test_a_client_recovers_before_the_gateway_notices_the_loss(
    alice: Socket, bob: Visitor, group: str
) -> None:
    await alice.send(group, "one")
    await bob.inbound(group, "one")
    bob.offset, old = bob.last_offset(), bob.raw

    assert await bob.come(node=1) is True
    await alice.send(group, "two")
    await bob.inbound(group, "two")
    await old.close()
    await bob.lose()
    await alice.send(group, "three")

    assert await bob.come() is True
    await bob.inbound(group, "three")


async def test_edits_and_deletions_made_meanwhile_are_replayed(
    alice: Socket, bob: Visitor, group: str
) -> None:
    one, two = [await alice.send(group, content) for content in ("one", "two")]
    await bob.inbound(group, "one", "two")
    await bob.lose()
    await alice.call_ok("joinRoom", {"conversationId": group})
    await alice.call_ok("editMessage", {"messageId": one["_id"], "content": "won"})
    await alice.call_ok("deleteMessage", {"messageId": two["_id"]})
    await alice.wait_for("messageDeleted", messageId=two["_id"])

    assert await bob.come(node=1) is True

    await eventually(lambda: [e for e in bob.events() if e[0] == "messageDeleted"])
    (edited,) = [args[0] for name, *args in bob.events() if name == "messageUpdated"]
    assert edited["message"]["content"] == "won"
    assert bob.contents(group) == []


async def test_each_room_is_replayed_from_its_own_position(
    users: ChatUsers, alice: Socket, bob: Visitor, group: str
) -> None:
    other = await users.group(alice, "bob")
    await bob.ask("joinRoom", conversationId=other)
    for conversation in (group, other):
        await alice.send(conversation, "heard")
        await bob.inbound(conversation, "heard")
    await bob.lose()
    for conversation in (group, other):
        await alice.send(conversation, "missed")

    assert await bob.come(node=1) is True

    for conversation in (group, other):
        await bob.inbound(conversation, "missed")


async def test_without_a_known_offset_no_message_is_delivered_twice(
    users: ChatUsers, alice: Socket, bob: Visitor, group: str
) -> None:
    other = await users.group(alice, "bob")
    await bob.ask("joinRoom", conversationId=other)
    for conversation in (group, other):
        await alice.send(conversation, "heard")
        await bob.inbound(conversation, "heard")
    bob.offset = bob.last_offset()

    assert await bob.come(node=1) is False

    for conversation in (group, other):
        await alice.send(conversation, "new")
        await bob.inbound(conversation, "new")


async def test_a_replay_larger_than_the_unread_limit_follows_the_clients_pace(
    alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.lose()
    much = [f"{number} {'€' * 7_900}" for number in range(120)]
    for content in much:
        await alice.send(group, content)

    assert await bob.come(node=1) is True

    await bob.inbound(group, *much)


async def test_a_send_during_the_replay_is_refused_as_retryable(
    alice: Socket, bob: Visitor, group: str, stack: Stack
) -> None:
    await bob.lose()
    # The first poll may take as much as a replay leaves unread: there is to be more than twice that.
    for number in range(90):
        await alice.send(group, f"{number} {'€' * 7_900}")
    back = json.dumps({"token": bob.user.token, "pid": bob.pid, "offset": bob.offset})
    async with aiohttp.ClientSession(f"{stack.gateway_urls[1]}/socket.io/") as http:
        greeting = await (await http.get("?EIO=4&transport=polling")).text()
        session = f"?EIO=4&transport=polling&sid={json.loads(greeting[1:])['sid']}"
        # The answer comes after the replay, for which the client would have to read.
        coming = asyncio.create_task(http.post(session, data=f"40{NAMESPACE},{back}"))
        assert (await (await http.get(session)).text()).startswith(CONNECTED)

        await http.post(session, data=f'42{NAMESPACE},1["getOnlineUsers"]')

        packets: list[str] = []
        while not [packet for packet in packets if packet.startswith("43")]:
            packets += (await (await http.get(session)).text()).split("\x1e")
        (answer,) = [packet for packet in packets if packet.startswith("43")]
        error = json.loads(answer.removeprefix(f"43{NAMESPACE},1"))[0]["error"]
        assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
        await http.post(session, data="1")
        await coming


async def test_a_replay_that_is_cut_short_is_announced_as_incomplete(
    alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.lose()
    sent = [await alice.send(group, f"{number}") for number in range(210)]
    await alice.wait_for("messageSent", messageId=sent[-1]["_id"])

    assert await bob.come(node=1) is False

    await bob.inbound(group, *(f"{number}" for number in range(10, 210)))


async def test_a_room_that_was_left_is_not_entered_again(
    users: ChatUsers, alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.ask("leaveRoom", conversationId=group)
    await bob.lose()

    await bob.come(node=1)

    await receives_nothing_of_the_room(bob, users, alice, group)


async def test_a_member_who_was_removed_meanwhile_does_not_come_back(
    users: ChatUsers, alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.lose()
    path = f"/chats/conversations/{group}/participants/{bob.user.id}"
    assert (await users.user("alice").rest("DELETE", path))[0] == 200

    await bob.come(node=1)

    await receives_nothing_of_the_room(bob, users, alice, group)


async def test_another_user_s_private_id_is_worth_nothing(
    users: ChatUsers, stack: Stack, alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.lose()
    carol = Visitor(stack, users.user("carol"))
    carol.pid, carol.offset = bob.pid, f"{group}:0:0"

    assert await carol.come(node=1) is False

    await receives_nothing_of_the_room(carol, users, alice, group)
    assert await bob.come() is True
    await carol.close()


async def test_a_client_that_disconnects_cannot_recover(
    users: ChatUsers, alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.raw.send(f"41{NAMESPACE},")
    await bob.lose()

    assert await bob.come(node=1) is False

    await receives_nothing_of_the_room(bob, users, alice, group)


async def test_a_client_that_violates_the_protocol_cannot_recover(
    users: ChatUsers, alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.raw.send(f'42{NAMESPACE},{{"not": "an event"}}')
    await bob.raw.wait_until_closed()

    assert await bob.come(node=1) is False

    await receives_nothing_of_the_room(bob, users, alice, group)


async def test_a_client_whose_token_expired_cannot_recover(
    users: ChatUsers, stack: Stack, alice: Socket, bob: Visitor
) -> None:
    group = await users.group(alice, "bob")
    await bob.come(token=token(stack.jwt_secret, bob.user.id, exp=int(time.time()) + 2))
    await bob.ask("joinRoom", conversationId=group)
    await bob.raw.wait_for(f"41{NAMESPACE},")
    await bob.lose()

    assert await bob.come(node=1) is False

    await receives_nothing_of_the_room(bob, users, alice, group)


async def test_a_token_that_expires_during_the_replay_ends_it(
    users: ChatUsers, stack: Stack, alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.lose()
    # More than the buffers between two ends that do not read.
    for number in range(200):
        await alice.send(group, f"{number} {'💬' * 7_900}")
    end = int(time.time()) + 3
    raw = Dawdler(stack.gateway_urls[1])
    await raw.open()
    auth = {"pid": bob.pid, "offset": bob.offset}
    await raw.connect_namespace({"token": token(stack.jwt_secret, bob.user.id, exp=end), **auth})

    await eventually(lambda: time.time() > end + 2)
    await alice.send(group, "sent after")
    await alice.wait_for("messageSent", seq=201)
    raw.awake.set()

    await raw.wait_until_closed()
    assert [frame[:100] for frame in raw.frames if "sent after" in frame] == []
    await raw.close()


async def test_the_selected_protocol_survives_a_recovery(alice: Socket, bob: Visitor, group: str) -> None:
    await bob.ask("markConversationAsRead", conversationId=group)
    await bob.lose()
    await alice.send(group, "one")

    assert await bob.come(node=1) is True
    await alice.send(group, "two")

    await bob.inbound(group, "one", "two")
    await bob.ask("getOnlineUsers")
    assert [e for e in bob.events() if e[0] in ("newMessage", "offset")][0::2] == [
        e for e in bob.events() if e[0] == "newMessage"
    ]


@pytest.mark.parametrize("pid", [5, True, [], {}, "", "x" * 22, "x" * 5000, "*", "\u0000" * 22])
async def test_a_private_id_that_is_none_is_as_good_as_no_id(pid: Any, bob: Visitor) -> None:
    assert await bob.come(pid=pid) is False

    assert len(bob.pid) == 22
    assert bob.pid != pid


@pytest.mark.parametrize(
    "offset", [5, None, [], "", ":", "a:b:c", "::", f"x:{'9' * 5000}:1", "x:-1:-1", "\u0661:\u0661:\u0661"]
)
async def test_an_invalid_offset_means_that_nothing_was_received(
    offset: Any, alice: Socket, bob: Visitor, group: str
) -> None:
    await alice.send(group, "one")
    await bob.inbound(group, "one")
    await bob.lose()

    assert await bob.come(node=1, offset=offset) is True

    await bob.inbound(group, "one")


async def test_an_offset_beyond_all_messages_recovers_nothing(
    alice: Socket, bob: Visitor, group: str
) -> None:
    await bob.lose()

    assert await bob.come(node=1, offset=f"{group}:{10**14}:{10**14}") is False

    await alice.send(group, "one")
    await bob.inbound(group, "one")


async def test_a_private_id_is_in_no_log(stack: Stack, bob: Visitor, group: str) -> None:
    await bob.lose()
    await bob.come(node=1)

    assert [name for name, log in (await logs_of(stack)).items() if bob.pid.encode() in log] == []


async def receives_nothing_of_the_room(visitor: Visitor, users: ChatUsers, alice: Socket, group: str) -> None:
    """Check that a message of the room does not reach the visitor, though a later event does."""
    await alice.call_ok("joinRoom", {"conversationId": group})
    await alice.send(group, "not for them")
    await alice.wait_for("newMessage", conversationId=group)
    await users.group(alice, visitor.user.id.partition("-")[0])
    await eventually(lambda: [e for e in visitor.events() if e[0] == "conversationCreated"])
    assert visitor.contents(group) == []


async def test_a_socket_that_recovers_in_a_large_group_again_and_again_is_refused(
    stack: Stack, users: ChatUsers, alice: Socket
) -> None:
    names = [f"member-{number}" for number in range(40)]
    small, large = await users.group(alice, "bob"), await users.group(alice, "bob", *names)
    async with local_gateway(stack, rate_limits=True, rate_rooms="1:200") as local, AsyncExitStack() as held:
        for name in names:
            raw = await RawSocket(local.url).open()
            held.push_async_callback(raw.close)
            await raw.connect_namespace({"token": users.user(name).token})
        assert await _recoveries(local.url, users.user("bob"), small) == RECOVERIES
        assert await _recoveries(local.url, users.user("bob"), large) < RECOVERIES


async def _recoveries(url: str, user: User, group: str) -> int:
    """Join a group, then lose and recover the socket in turn; return how often it was let in."""
    kept: dict[str, str] = {}
    for number in range(RECOVERIES):
        raw = await RawSocket(url).open()
        await raw.send(CONNECTED + json.dumps({"token": user.token, **kept}))
        await eventually(lambda: raw.is_closed or [f for f in raw.frames if f.startswith(CONNECTED)])  # noqa: B023 - called at once
        if raw.is_closed:
            await raw.close()
            return number
        if not kept:
            kept["pid"] = json.loads((await raw.wait_for(CONNECTED)).removeprefix(CONNECTED))["pid"]
            assert (await raw.call(1, json.dumps(["joinRoom", {"conversationId": group}])))["success"] is True
        await raw.close()
    return RECOVERIES
