"""The CRM protocol beyond its guide: numeric ids, retries, files, empty rooms."""

import secrets
import time
import uuid
from typing import Any

from clients.chat import ChatUsers, eventually
from clients.crm import STAFF, accepted, chat_of, in_room, manager, speaker, stored
from clients.javascript import Program
from clients.matching import A_TIME
from parley.gateway.protocols.crm import CRM
from parley.shared.documents import to_document
from parley.shared.model import Attachment, Conversation, Membership, now


async def test_ids_may_be_numbers(program: Program, users: ChatUsers, database: Any) -> None:
    number, user_id = (1 + secrets.randbelow(10**12) for _ in range(2))
    ann = users.user("ann", sub=None, id=user_id)
    await seed(database, str(number), str(user_id))
    one = await program.connect(ann, users.url, CRM)
    assert (await one.call_ok("authenticate"))["userId"] == str(user_id)
    one.mark_protocol_resolved()

    joined = await one.call_ok("joinChat", {"chatId": number})
    assert joined == {"success": True, "message": f"Joined chat {number}"}
    await one.call_ok("sendMessage", {"chatId": number, "content": "Hello, world!"})
    received = await one.wait_for("newMessage")
    assert (received["chatId"], received["message"]["senderId"]) == (str(number), str(user_id))
    for event in ("updateMessage", "deleteMessage"):
        more = {"content": "new"} if event == "updateMessage" else {}
        refusal = await one.call(event, {"chatId": number, "messageId": 456, **more})
        assert refusal["error"]["code"] == "NOT_FOUND"
    refusal = await one.call("markAsRead", {"chatId": number, "messageId": 456})
    assert refusal["error"]["code"] == "NOT_FOUND"
    await one.call_ok("markAsRead", {"chatId": number, "messageId": received["message"]["id"]})
    assert (await one.call_ok("typing", {"chatId": number, "isTyping": True})) == {"success": True}
    left = await one.call_ok("leaveChat", {"chatId": number})
    assert left == {"success": True, "message": f"Left chat {number}"}

    assert (await ann.rest("POST", "/chat-messages", {"chatId": number, "content": "Hello!"}))[0] == 201
    assert (await ann.rest("GET", "/chat-messages", chatId=number))[1]["total"] == 2


async def seed(database: Any, chat: str, user_id: str) -> None:
    """Create a chat under a numeric id, as a CRM's own database has it."""
    at = now()
    conversation = Conversation(id=chat, kind="group", created_by=user_id, created_at=at)
    membership = Membership(conversation_id=chat, user_id=user_id, role="owner", joined_at=at)
    await database["conversations"].insert_one(to_document(conversation))
    await database["memberships"].insert_one(to_document(membership))


async def test_a_retry_gives_the_same_message(program: Program, users: ChatUsers) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    one, two = await in_room(program, users, chat, ann, ben)
    name = str(uuid.uuid4())
    wish = {"chatId": chat, "content": "only once", "clientMessageId": name}

    first = (await one.call_ok("sendMessage", wish))["data"]
    assert first == {**accepted(ann, chat, "only once", **STAFF), "clientMessageId": name}
    assert (await two.wait_for("newMessage"))["message"] == stored(first, 1)
    assert (await one.call_ok("sendMessage", wish))["data"]["id"] == first["id"]
    status, body = await ann.rest("POST", "/chat-messages", wish)
    assert (status, body["data"]["id"]) == (201, first["id"])
    await one.call_ok("sendMessage", {"chatId": chat, "content": "after"})
    await two.wait_for("newMessage", times=2)
    page = (await ann.rest("GET", "/chat-messages", chatId=chat))[1]
    assert [(m["seq"], m["message"]) for m in page["data"]] == [(1, "only once"), (2, "after")]


async def test_a_message_carries_its_attachments(program: Program, users: ChatUsers, database: Any) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    one, two = await in_room(program, users, chat, ann, ben)
    upload = Attachment(id=str(uuid.uuid4()), name="offer.pdf", size=7, type="application/pdf")
    document = {**to_document(upload), "ownerId": ann.id, "loose": int(time.time())}
    await database["attachments"].insert_one(document)

    answer = await one.call_ok("sendMessage", {"chatId": chat, "attachments": [upload.id]})

    shown = {"id": upload.id, "name": "offer.pdf", "size": 7, "type": "application/pdf"}
    attachments = [{**shown, "url": f"/attachments/{upload.id}"}]
    assert answer["data"] == {**accepted(ann, chat, "", **STAFF), "attachments": attachments}
    assert (await two.wait_for("newMessage"))["message"] == stored(answer["data"], 1)
    again = await two.call("sendMessage", {"chatId": chat, "attachments": [str(uuid.uuid4())]})
    assert again["error"]["code"] == "NOT_FOUND"


async def test_a_removed_member_receives_nothing_more(program: Program, users: ChatUsers) -> None:
    ann, ben, cid = manager(users), users.user("ben"), users.user("cid")
    chat = await chat_of(ann, ben, cid)
    one, two, three = await in_room(program, users, chat, ann, ben, cid)

    status, _ = await ann.rest("DELETE", f"/chats/conversations/{chat}/participants/{ben.id}")
    assert status == 200
    left = {"chatId": chat, "userId": ben.id, "timestamp": A_TIME}
    for socket in (one, three):
        assert await socket.wait_for("userLeft") == left
    await one.call_ok("sendMessage", {"chatId": chat, "content": "without you"})
    # On the same gateway as the removed member.
    await three.wait_for("newMessage")
    assert two.events("newMessage") == two.events("userLeft") == []
    refusal = await two.call("joinChat", {"chatId": chat})
    assert refusal["error"]["code"] == "NOT_FOUND"


async def test_a_user_with_two_sockets_leaves_with_the_last(program: Program, users: ChatUsers) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    one, two = await in_room(program, users, chat, ann, ben)
    await one.wait_for("userJoined")
    node = (await two.inspect())["node"]
    second = await speaker(program, ben, users, one)
    assert (await second.inspect())["node"] == node
    await second.call_ok("joinChat", {"chatId": chat})

    await two.call_ok("leaveChat", {"chatId": chat})
    await second.call_ok("sendMessage", {"chatId": chat, "content": "still here"})
    await one.wait_for("newMessage")
    assert one.events("userLeft") == []
    await second.close()
    await one.wait_for("userLeft")
    assert len(one.events("userJoined")) == len(one.events("userLeft")) == 1


async def test_a_user_who_closes_a_chat_on_one_gateway_and_not_on_the_other_is_seen_to_stay(
    program: Program, users: ChatUsers
) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    one, two = await in_room(program, users, chat, ann, ben)
    beside = await speaker(program, ben, users, two)
    assert (await beside.inspect())["node"] == (await one.inspect())["node"]
    await beside.call_ok("joinChat", {"chatId": chat})
    await one.wait_for("userJoined", times=2)

    await two.call_ok("leaveChat", {"chatId": chat})
    await one.wait_for("userJoined", times=3)
    assert one.events("userLeft") == []
    await beside.call_ok("leaveChat", {"chatId": chat})
    await one.wait_for("userLeft")


async def test_typing_ends_by_itself(program: Program, users: ChatUsers) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    one, two = await in_room(program, users, chat, ann, ben)
    await two.emit("typing", {"chatId": chat, "isTyping": True})

    await eventually(lambda: [t["isTyping"] for t in one.events("userTyping")] == [True, False])
