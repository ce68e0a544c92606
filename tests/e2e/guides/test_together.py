"""Five members of one conversation, one of each protocol: each receives all messages once, in its form."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from clients.chat import ChatUsers, User, eventually
from clients.javascript import JsSocket, Program
from parley.gateway.protocols.clients_and_lawyers import CLIENTS_AND_LAWYERS
from parley.gateway.protocols.connections import CONNECTIONS
from parley.gateway.protocols.contracts import CONTRACTS
from parley.gateway.protocols.crm import CRM
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.protocol import ClientProtocol

Words = Callable[[str, str], tuple[str, dict[str, Any]]]
Read = Callable[[Any], Any]


@dataclass(frozen=True)
class Speaker:
    """How one protocol names the events that all protocols have."""

    protocol: ClientProtocol
    joins: Callable[[str], list[tuple[str, dict[str, Any]]]]
    sends: Words
    edits: Words
    deletes: Callable[[str], tuple[str, dict[str, Any]]]
    reads: Words
    received: str
    updated: str
    deleted: str
    read: tuple[str, ...]
    message: Read
    text: str
    reader: str
    sent_id: Read


SPEAKERS = [
    Speaker(
        protocol=CLIENTS_AND_LAWYERS,
        # No other protocol of this namespace accepts this payload, so the first event selects this one.
        joins=lambda c: [("sendMessage", {"conversationId": c, "content": "I am here", "matter": "M-1"})],
        sends=lambda c, text: ("sendMessage", {"conversationId": c, "content": text}),
        edits=lambda m, text: ("editMessage", {"messageId": m, "content": text}),
        deletes=lambda m: ("deleteMessage", {"messageId": m}),
        reads=lambda c, m: ("markAsRead", {"messageId": m}),
        received="receiveMessage",
        updated="receiveEdit",
        deleted="receiveDeletion",
        read=("receiveRead",),
        message=lambda p: p,
        text="content",
        reader="userId",
        sent_id=lambda answer: answer["message"]["id"],
    ),
    Speaker(
        protocol=CONNECTIONS,
        joins=lambda c: [("joinConversation", {"conversationId": c})],
        sends=lambda c, text: ("sendMessage", {"conversationId": c, "content": text}),
        edits=lambda m, text: ("editMessage", {"messageId": m, "content": text}),
        deletes=lambda m: ("deleteMessage", {"messageId": m}),
        reads=lambda c, m: ("markAsRead", {"messageId": m}),
        received="message",
        updated="messageUpdated",
        deleted="messageDeleted",
        read=("messageRead",),
        message=lambda p: p.get("message", p),
        text="content",
        reader="userId",
        sent_id=lambda answer: answer["message"]["id"],
    ),
    Speaker(
        protocol=CRM,
        joins=lambda c: [("authenticate", {}), ("joinChat", {"chatId": c})],
        sends=lambda c, text: ("sendMessage", {"chatId": c, "content": text}),
        edits=lambda m, text: ("updateMessage", {"messageId": m, "content": text}),
        deletes=lambda m: ("deleteMessage", {"messageId": m}),
        reads=lambda c, m: ("markAsRead", {"chatId": c, "messageId": m}),
        received="newMessage",
        updated="messageUpdated",
        deleted="messageDeleted",
        read=("messageRead",),
        message=lambda p: p["message"],
        text="message",
        reader="userId",
        sent_id=lambda answer: answer["data"]["id"],
    ),
    Speaker(
        protocol=GROUPS,
        joins=lambda c: [("joinRoom", {"conversationId": c})],
        sends=lambda c, text: ("sendMessage", {"conversationId": c, "content": text}),
        edits=lambda m, text: ("editMessage", {"messageId": m, "content": text}),
        deletes=lambda m: ("deleteMessage", {"messageId": m}),
        reads=lambda c, m: ("markAsRead", {"conversationId": c, "messageId": m}),
        received="newMessage",
        updated="messageUpdated",
        deleted="messageDeleted",
        # This protocol has a separate event for reading the whole conversation.
        read=("messageRead", "conversationRead"),
        message=lambda p: p["message"],
        text="content",
        reader="readBy",
        sent_id=lambda answer: answer["message"]["_id"],
    ),
    Speaker(
        protocol=CONTRACTS,
        joins=lambda c: [("join_conversation", {"conversationId": c})],
        sends=lambda c, text: ("send_message", {"conversationId": c, "content": text}),
        edits=lambda m, text: ("update_message", {"messageId": m, "content": text}),
        deletes=lambda m: ("delete_message", {"messageId": m}),
        reads=lambda c, m: ("mark_as_read", {"conversationId": c}),
        received="new_message",
        updated="message_updated",
        deleted="message_deleted",
        read=("messages_read",),
        message=lambda p: p.get("message", p),
        text="content",
        reader="userId",
        sent_id=lambda answer: answer["message"]["id"],
    ),
]


@dataclass
class Member:
    """One of the five members, with a socket on one of the two gateways."""

    user: User
    speaker: Speaker
    socket: JsSocket

    def texts(self, event: str) -> list[str]:
        """Return the contents of the messages received by an event."""
        found = (self.speaker.message(payload) for payload in self.socket.events(event))
        return [message[self.speaker.text] for message in found]

    def readers(self) -> list[str]:
        reported = (payload for event in self.speaker.read for payload in self.socket.events(event))
        return [payload[self.speaker.reader] for payload in reported]


@dataclass
class Table:
    """The five members and their conversation."""

    conversation: str
    members: list[Member]

    def all_received(self, event: Callable[[Speaker], str], *texts: str) -> bool:
        """Tell whether each member has received these contents once, in this order."""
        return all(m.texts(event(m.speaker))[-len(texts) :] == list(texts) for m in self.members)


@pytest.fixture
async def table(program: Program, users: ChatUsers) -> Table:
    people = [users.user(s.protocol.name) for s in SPEAKERS]
    begun, conversation = await people[3].rest(
        "POST",
        "/chats/conversations",
        {"type": "group", "name": "All", "participants": [u.id for u in people if u is not people[3]]},
    )
    assert begun == 201
    members: list[Member] = []
    for user, speaker in zip(people, SPEAKERS, strict=True):
        other = members[-1].socket if members else None
        socket = (
            await program.connect(user, users.url, speaker.protocol)
            if other is None
            else await program.connect_elsewhere(user, users.url, speaker.protocol, other)
        )
        members.append(Member(user, speaker, socket))
    # The first member joins by sending: it does so last, so that all others receive the message.
    for member in reversed(members):
        for event, payload in member.speaker.joins(conversation["_id"]):
            await member.socket.call_ok(event, payload)
        member.socket.mark_protocol_resolved()
    table = Table(conversation["_id"], members)
    await eventually(partial(table.all_received, received, "I am here"))
    return table


async def test_a_message_reaches_every_protocol_once(table: Table) -> None:
    sent = []
    for member in table.members:
        sent.append(f"from {member.speaker.protocol.name}")
        await member.socket.call_ok(*member.speaker.sends(table.conversation, sent[-1]))
    await eventually(partial(table.all_received, received, *sent))
    for member in table.members:
        assert member.texts(member.speaker.received) == ["I am here", *sent]


async def test_an_edit_and_a_deletion_reach_every_protocol(table: Table) -> None:
    edited = []
    for member in table.members:
        speaker = member.speaker
        first = f"first of {speaker.protocol.name}"
        answer = await member.socket.call_ok(*speaker.sends(table.conversation, first))
        message_id = speaker.sent_id(answer)
        await eventually(partial(table.all_received, received, first))
        edited.append(f"edited by {speaker.protocol.name}")
        await member.socket.call_ok(*speaker.edits(message_id, edited[-1]))
        await eventually(lambda: table.all_received(lambda s: s.updated, *edited))
        await member.socket.call_ok(*speaker.deletes(message_id))
        for other in table.members:
            await other.socket.wait_for(other.speaker.deleted, len(edited))
            assert other.socket.events(other.speaker.deleted)[-1]["messageId"] == message_id
    for member in table.members:
        assert member.texts(member.speaker.updated) == edited
        assert len(member.socket.events(member.speaker.deleted)) == len(edited)


async def test_a_read_mark_reaches_every_protocol(table: Table) -> None:
    writer = table.members[3]
    for member in table.members:
        text = f"read this, {member.speaker.protocol.name}"
        answer = await writer.socket.call_ok(*writer.speaker.sends(table.conversation, text))
        message_id = writer.speaker.sent_id(answer)
        await eventually(partial(table.all_received, received, text))
        if member is writer:
            continue
        await member.socket.call_ok(*member.speaker.reads(table.conversation, message_id))
        for other in table.members:
            if other is not member:
                await eventually(partial(was_notified, other, member))
                assert other.readers().count(member.user.id) == 1
        assert await member.user.unread(table.conversation) == 0


def received(speaker: Speaker) -> str:
    return speaker.received


def was_notified(one: Member, of: Member) -> bool:
    return of.user.id in one.readers()


async def test_rest_shows_the_same_to_all(table: Table) -> None:
    for member in table.members:
        await member.socket.call_ok(*member.speaker.sends(table.conversation, member.speaker.protocol.name))
    names = [m.speaker.protocol.name for m in table.members]
    await eventually(partial(table.all_received, received, *names))
    lou, con, crm, gro, fre = (m.user for m in table.members)
    expected = ["I am here", *names]

    _, messages = await con.rest("GET", f"/chat/conversations/{table.conversation}/messages")
    assert [(m["seq"], m["content"]) for m in messages] == list(enumerate(expected, 1))
    _, body = await crm.rest("GET", "/chat-messages", chatId=table.conversation)
    assert [(m["seq"], m["message"]) for m in body["data"]] == list(enumerate(expected, 1))
    assert [(m["seq"], m["content"]) for m in await gro.history(table.conversation)] == list(
        enumerate(expected, 1)
    )
    _, body = await fre.rest("GET", f"/api/messages/conversations/{table.conversation}/messages")
    assert [(m["seq"], m["content"]) for m in body["data"]["messages"]] == list(enumerate(expected, 1))
    for user in (lou, con, crm, gro, fre):
        assert await user.unread(table.conversation) == len(expected) - (2 if user is lou else 1)
    assert (await con.rest("GET", "/chat/unread-count"))[1] == {"count": len(expected) - 1}
