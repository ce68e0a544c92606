"""Two protocols on one namespace: a socket's events select one, and it receives no events of the other."""

from typing import Any

from clients.chat import ChatUsers, User
from clients.crm import accepted, chat_of, in_room, stored
from clients.javascript import ENGINE_S_OWN, JsSocket, Program
from clients.matching import A_TIME
from parley.gateway.protocols.crm import CRM
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.protocol import ClientProtocol


async def undecided(
    program: Program, user: User, users: ChatUsers, protocol: ClientProtocol, node: str | None = None
) -> JsSocket:
    """Connect a socket that has not selected a protocol, to this gateway if one is given."""
    for _ in range(12):
        socket = await program.connect(user, users.url, protocol)
        if node in (None, (await socket.inspect())["node"]):
            return socket
        await socket.close()
    raise AssertionError(f"twelve times another gateway than {node}")


def received_events(program: Program, socket: JsSocket, since: int) -> set[str]:
    """Return the names of the events that a socket has received since."""
    own = {event for name, event, _ in program.received[since:] if name == socket.name}
    return own - ENGINE_S_OWN


async def test_a_socket_receives_both_protocols_until_its_first_event(
    program: Program, users: ChatUsers
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    one = await undecided(program, ann, users, CRM)
    two = await undecided(program, ann, users, GROUPS, (await one.inspect())["node"])
    assert await one.wait_for("onlineUsers") == [ann.id]
    first = await chat_of(ben, ann)
    for socket in (one, two):
        assert (await socket.wait_for("conversationCreated"))["_id"] == first

    await one.call_ok("authenticate")
    one.mark_protocol_resolved()
    await two.call_ok("getOnlineUsers")
    two.mark_protocol_resolved()
    since = len(program.received)
    second = await chat_of(ben, ann)
    await two.wait_for("conversationCreated", times=2)
    await one.call_ok("joinChat", {"chatId": second})
    await two.call_ok("joinRoom", {"conversationId": second})
    status, _ = await ben.rest("POST", "/chat-messages", {"chatId": second, "content": "Hello!"})
    assert status == 201
    await two.wait_for("unreadCount")
    message = (await one.wait_for("newMessage"))["message"]
    assert (message["chatId"], message["message"]) == (second, "Hello!")
    message = (await two.wait_for("newMessage"))["message"]
    assert (message["conversationId"], message["content"]) == (second, "Hello!")

    assert received_events(program, one, since) == {"newMessage"}
    assert received_events(program, two, since) == {"conversationCreated", "newMessage", "unreadCount"}
    refusal = await one.call("joinRoom", {"conversationId": second})
    assert refusal["error"]["code"] == "UNKNOWN_EVENT"
    refusal = await two.call("joinChat", {"chatId": second})
    assert refusal["error"]["code"] == "UNKNOWN_EVENT"


async def test_a_word_of_both_decides_nothing_and_is_done(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    chat = await chat_of(ann, ben)
    ids = []
    for content in ("one", "two"):
        body = {"chatId": chat, "content": content}
        ids.append((await ann.rest("POST", "/chat-messages", body))[1]["data"]["id"])
    for protocol, message_id in ((CRM, ids[0]), (GROUPS, ids[1])):
        socket = await undecided(program, ann, users, protocol)
        assert await socket.call_ok("deleteMessage", {"messageId": message_id}) == {"success": True}
        fresh = await chat_of(ben, ann)
        assert (await socket.wait_for("conversationCreated"))["_id"] == fresh
        if protocol is CRM:
            await socket.call_ok("joinChat", {"chatId": fresh})
        else:
            await socket.call_ok("joinRoom", {"conversationId": fresh})
        socket.mark_protocol_resolved()
        await ben.rest("POST", "/chat-messages", {"chatId": fresh, "content": "Hello!"})
        shown = (await socket.wait_for("newMessage"))["message"]
        assert shown.get("message" if protocol is CRM else "content") == "Hello!"
    page = (await ben.rest("GET", "/chat-messages", chatId=chat))[1]
    assert [("deletedAt" in m, m["message"]) for m in page["data"]] == [(True, ""), (True, "")]


async def test_changes_made_in_one_protocol_are_received_in_the_other(
    program: Program, users: ChatUsers
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    chat = await chat_of(ann, ben)
    (one,) = await in_room(program, users, chat, ann)
    two = await program.connect_elsewhere(ben, users.url, GROUPS, one)
    of_ben: dict[str, Any] = {"chatId": chat, "userId": ben.id, "timestamp": A_TIME}

    await two.call_ok("joinRoom", {"conversationId": chat})
    two.mark_protocol_resolved()
    assert await one.wait_for("userJoined") == of_ben
    await two.call_ok("sendMessage", {"conversationId": chat, "content": "from the group"})
    new = await one.wait_for("newMessage")
    message = stored(accepted(ben, chat, "from the group"), 1)
    assert new == {"message": message, "chatId": chat, "timestamp": new["message"]["createdAt"]}
    own = {"messageId": new["message"]["id"], "conversationId": chat}
    await two.call_ok("editMessage", {**own, "content": "from the whole group"})
    updated = (await one.wait_for("messageUpdated"))["message"]
    assert (updated["id"], updated["message"], updated["rev"]) == (
        own["messageId"],
        "from the whole group",
        2,
    )
    await two.call_ok("deleteMessage", own)
    gone = {"messageId": own["messageId"], "chatId": chat, "timestamp": A_TIME}
    assert await one.wait_for("messageDeleted") == gone

    for number, (word, typing) in enumerate((("typing", True), ("stopTyping", False)), start=1):
        await two.call_ok(word, {"conversationId": chat})
        assert await one.wait_for("userTyping", number) == {**of_ben, "isTyping": typing}
    await one.call_ok("sendMessage", {"chatId": chat, "content": "from the CRM"})
    sent = (await two.wait_for("newMessage", times=2))["message"]
    assert (sent["conversationId"], sent["content"], sent["sender"]["_id"]) == (chat, "from the CRM", ann.id)
    await two.call_ok("markConversationAsRead", {"conversationId": chat})
    assert await one.wait_for("messageRead") == {**of_ben, "messageId": sent["_id"]}
    await one.call_ok("markAsRead", {"chatId": chat, "messageId": sent["_id"]})
    read = await two.wait_for("messageRead")
    assert (read["messageId"], read["readBy"]) == (sent["_id"], ann.id)

    await two.call_ok("leaveRoom", {"conversationId": chat})
    assert await one.wait_for("userLeft") == of_ben
    crm_only = {"userJoined", "userLeft"}
    assert not received_events(program, two, 0) & crm_only
    assert received_events(program, one, program.resolved_at[one.name]) <= {
        outbound.event for outbound in CRM.outbound
    }
