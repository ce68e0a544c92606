"""The contracts guide's own sequence with the JavaScript client, through nginx on two gateways."""

import uuid
from typing import Any

from clients.chat import ChatUsers, eventually
from clients.contracts import (
    ALL,
    SampleContract,
    bad,
    both,
    by_id,
    conversations,
    counts,
    good,
    message,
    person,
)
from clients.javascript import Program
from clients.matching import A_TIME
from clients.tokens import fresh
from clients.uploads import attached
from parley.gateway.protocols.contracts import CONTRACTS


async def test_the_guide_s_own_sequence(program: Program, users: ChatUsers, contract: SampleContract) -> None:
    alice, bob = await both(program, users, contract)
    for socket, user in ((alice, contract.ann), (bob, contract.ben)):
        assert await socket.wait_for("connected") == {
            "userId": user.id,
            "socketId": (await socket.inspect())["id"],
        }

    created = await alice.call_ok(
        "create_message",
        {
            "contractId": contract.id,
            "milestoneId": "m1",
            "content": "Hello!",
            "messageType": "text",
            "attachments": [],
        },
    )
    conversation = created["message"]["conversationId"]
    first = message(contract.ann, conversation, "Hello!")
    assert created == {"success": True, "message": first, "data": created["message"]}
    for socket in (alice, bob):
        assert await socket.wait_for("message_notification") == {
            "conversationId": conversation,
            "message": {**created["message"], "seq": 1, "rev": 1},
        }

    of = {"conversationId": conversation}
    for socket in (alice, bob):
        assert await socket.call_ok("join_conversation", of) == {
            "success": True,
            "message": "Joined conversation successfully",
            "seq": 1,
            "rev": 1,
        }
    name = str(uuid.uuid4())
    sent = await alice.call_ok(
        "send_message",
        {
            **of,
            "content": "Still there?",
            "messageType": "text",
            "attachments": [],
            "clientMessageId": name,
        },
    )
    second = message(contract.ann, conversation, "Still there?", clientMessageId=name)
    assert sent == {"success": True, "message": second, "data": sent["message"]}
    for socket in (alice, bob):
        assert await socket.wait_for("new_message") == {**sent["message"], "seq": 2, "rev": 2}

    for times, is_typing in ((1, True), (2, False)):
        answer = await bob.call_ok("typing", {**of, "isTyping": is_typing})
        assert answer == {"success": True, "message": "Typing status sent successfully"}
        typing = {**of, "userId": contract.ben.id, "isTyping": is_typing}
        assert await alice.wait_for("user_typing", times) == typing

    answer = await bob.call_ok("mark_as_read", of)
    assert answer == {"success": True, "message": "Messages marked as read successfully"}
    assert await alice.wait_for("messages_read") == {
        **of,
        "userId": contract.ben.id,
        "readAt": A_TIME,
        "seq": 2,
    }

    about = {"messageId": sent["message"]["id"]}
    answer = await alice.call_ok("update_message", {**about, "content": "Are you there?"})
    assert answer == {"success": True, "message": "Message updated successfully"}
    edited = {**sent["message"], "content": "Are you there?", "seq": 2, "rev": 3, "editedAt": A_TIME}
    for socket in (alice, bob):
        assert await socket.wait_for("message_updated") == {**of, "message": edited}
    answer = await alice.call_ok("delete_message", {**about, **of})
    assert answer == {"success": True, "message": "Message deleted successfully"}
    for socket in (alice, bob):
        assert await socket.wait_for("message_deleted") == {
            **of,
            **about,
            "deletedAt": A_TIME,
            "seq": 2,
            "rev": 4,
        }

    answer = await bob.call_ok("leave_conversation", of)
    assert answer == {"success": True, "message": "Left conversation successfully"}
    await bob.call_ok("send_message", {**of, "content": "I am here."})
    third = message(contract.ben, conversation, "I am here.", seq=3, rev=5)
    assert await alice.wait_for("new_message", 2) == third
    assert await bob.wait_for("message_notification", 2) == {**of, "message": third}

    received = {"connected": 1, "message_notification": 1, "message_updated": 1, "message_deleted": 1}
    assert counts(program, alice) == received | {"new_message": 2, "user_typing": 2, "messages_read": 1}
    assert counts(program, bob) == received | {"new_message": 1, "message_notification": 2}


async def test_every_route_returns_the_same_as_the_sockets(
    program: Program, users: ChatUsers, contract: SampleContract
) -> None:
    parties = {"clientId": contract.ben.id, "freelancerId": contract.ann.id, "milestones": ["m2"]}
    saved = await contract.clerk.rest("PUT", f"/api/contracts/{contract.id}", parties)
    assert good(saved, 200, "Contract saved successfully") == {"id": contract.id, **parties}
    alice, bob = await both(program, users, contract)

    body = {"contractId": contract.id, "milestoneId": "m2", "content": "Hi.", "messageType": "text"}
    created = await contract.ann.rest("POST", "/api/messages", {**body, "attachments": []})
    hello = good(created, 201, "Message created successfully")
    conversation = hello["conversationId"]
    assert hello == message(contract.ann, conversation, "Hi.")
    for socket in (alice, bob):
        stored = (await socket.wait_for("message_notification"))["message"]
        assert stored == {**hello, "seq": 1, "rev": 1}
    assert (await alice.call_ok("join_conversation", {"conversationId": conversation}))["seq"] == 1

    answer = await contract.ben.rest(
        "POST",
        f"/api/messages/conversations/{conversation}/messages",
        {"content": "New message here", "messageType": "text", "attachments": []},
    )
    reply = good(answer, 201, "Message sent successfully")
    assert reply == message(contract.ben, conversation, "New message here")
    assert await alice.wait_for("new_message") == {**reply, "seq": 2, "rev": 2}

    shown = {
        "id": conversation,
        "contractId": contract.id,
        "milestoneId": "m2",
        "client": person(contract.ben),
        "freelancer": person(contract.ann),
        "participants": [person(contract.ann), person(contract.ben)],
        "lastMessage": {
            "id": reply["id"],
            "seq": 2,
            "senderId": contract.ben.id,
            "content": "New message here",
            "messageType": "text",
            "sentAt": reply["sentAt"],
        },
        "unreadCount": 1,
        "isActive": True,
        "createdAt": A_TIME,
        "updatedAt": A_TIME,
    }
    answer = await contract.ann.rest("GET", f"/api/messages/conversations/{conversation}")
    found = good(answer, 200, "Conversation retrieved successfully")
    assert {**found, "participants": by_id(found)} == {**shown, "participants": by_id(shown)}
    answer = await contract.ann.rest("GET", "/api/messages/conversations", page=1, limit=20)
    assert good(answer, 200, "Conversations retrieved successfully") == {
        "conversations": [found],
        "total": 1,
        "page": 1,
        "limit": 20,
        "totalPages": 1,
    }

    await bob.call_ok("join_conversation", {"conversationId": conversation})
    answer = await contract.ann.rest("PATCH", f"/api/messages/conversations/{conversation}/read")
    read = good(answer, 200, "Messages marked as read successfully")
    assert read == {**found, "unreadCount": 0}
    marked = {"conversationId": conversation, "userId": contract.ann.id, "readAt": A_TIME, "seq": 2}
    assert await bob.wait_for("messages_read") == marked
    answer = await contract.ben.rest(
        "GET", f"/api/messages/conversations/{conversation}/messages", page=1, limit=50
    )
    assert good(answer, 200, "Messages retrieved successfully") == {
        "messages": [{**hello, "seq": 1, "rev": 1}, {**reply, "seq": 2, "rev": 2, "isRead": True}],
        "total": 2,
        "page": 1,
        "limit": 50,
        "hasMore": False,
    }
    answer = await contract.ann.rest("PATCH", f"/api/messages/conversations/{conversation}/archive")
    assert good(answer, 200, "Conversation updated successfully") == {**read, "isActive": False}


async def test_a_contract_has_one_conversation_and_each_milestone_one_of_its_own(
    users: ChatUsers, contract: SampleContract
) -> None:
    whole, one, two = [
        await contract.start_conversation(milestoneId=milestone) for milestone in (None, "m1", "m2")
    ]
    assert len({each["conversationId"] for each in (whole, one, two)}) == 3
    again = await contract.ben.rest(
        "POST", "/api/messages", {"contractId": contract.id, "milestoneId": "m1", "content": "Yes?"}
    )
    assert again[1]["data"]["conversationId"] == one["conversationId"]

    other = SampleContract(users)
    await other.save(contract.ben, contract.ann)
    last = await other.start_conversation()
    listed = await conversations(contract.ann)
    assert [c["contractId"] for c in listed["conversations"]] == [
        other.id,
        contract.id,
        contract.id,
        contract.id,
    ]
    assert (listed["conversations"][0]["client"], listed["conversations"][0]["milestoneId"]) == (
        person(contract.ben),
        None,
    )
    of_one = await conversations(contract.ann, contractId=contract.id, page=2, limit=2)
    assert [c["id"] for c in of_one["conversations"]] == [whole["conversationId"]]
    assert (of_one["total"], of_one["page"], of_one["limit"], of_one["totalPages"]) == (3, 2, 2, 2)
    assert last["conversationId"] not in {c["id"] for c in of_one["conversations"]}


async def test_a_page_of_messages_is_counted_from_the_newest_or_from_a_message(
    contract: SampleContract,
) -> None:
    conversation = (await contract.start_conversation("1"))["conversationId"]
    sent = [await contract.start_conversation(str(number)) for number in range(2, 8)]
    await eventually(lambda: stored(contract, conversation, 7))

    async def page(**query: Any) -> tuple[list[str], int, int, int, bool]:
        answer = await contract.ben.rest("GET", f"{ALL}/{conversation}/messages", **query)
        data = good(answer, 200, "Messages retrieved successfully")
        contents = [m["content"] for m in data["messages"]]
        return contents, data["total"], data["page"], data["limit"], data["hasMore"]

    assert await page(limit=3) == (["5", "6", "7"], 7, 1, 3, True)
    assert await page(limit=3, page=2) == (["2", "3", "4"], 7, 2, 3, True)
    assert await page(limit=3, page=3) == (["1"], 7, 3, 3, False)
    assert await page(limit=3, page=9) == ([], 7, 9, 3, False)
    assert await page(limit=2, before=sent[3]["id"]) == (["3", "4"], 7, 1, 2, True)
    assert await page(limit=2, page=2, before=sent[3]["id"]) == (["1", "2"], 7, 2, 2, False)


async def stored(contract: SampleContract, conversation: str, seq: int) -> bool:
    _, answer = await contract.ann.rest("GET", f"{ALL}/{conversation}")
    return bool(answer["data"]["lastMessage"] and answer["data"]["lastMessage"]["seq"] == seq)


async def test_a_conversation_that_one_puts_away_is_out_of_one_s_own_list_only(
    contract: SampleContract,
) -> None:
    conversation = (await contract.start_conversation())["conversationId"]
    path = f"{ALL}/{conversation}/archive"
    away = good(await contract.ann.rest("PATCH", path), 200, "Conversation updated successfully")
    assert (away["id"], away["isActive"]) == (conversation, False)
    assert (await conversations(contract.ann))["total"] == 0
    with_archived = await conversations(contract.ann, includeArchived="true")
    assert [(c["id"], c["isActive"]) for c in with_archived["conversations"]] == [(conversation, False)]
    assert (await conversations(contract.ben))["conversations"][0]["isActive"] is True

    back = await contract.ann.rest("PATCH", path, {"archived": False})
    assert good(back, 200, "Conversation updated successfully")["isActive"] is True
    assert (await conversations(contract.ann))["total"] == 1


async def test_a_file_goes_along_by_its_id_or_as_an_object_that_has_one(
    program: Program, users: ChatUsers, contract: SampleContract
) -> None:
    alice, bob = await both(program, users, contract)
    first, second = [await attached(users.url, contract.ann, name, "notes.txt") for name in (b"one", b"two")]
    named = await alice.call_ok(
        "create_message",
        {"contractId": contract.id, "content": "", "messageType": "file", "attachments": [first["id"]]},
    )
    described = await alice.call_ok(
        "send_message",
        {
            "conversationId": named["message"]["conversationId"],
            "content": "And this.",
            "messageType": "file",
            "attachments": [{"id": second["id"], "name": "another", "whatever": 1}],
        },
    )
    for times, (answer, file) in enumerate(((named, first), (described, second)), 1):
        assert answer["message"]["attachments"] == [file]
        assert answer["message"]["messageType"] == "file"
        received = await bob.wait_for("message_notification", times)
        assert received["message"] == {**answer["message"], "seq": times, "rev": times}
        assert file["url"] == f"/attachments/{file['id']}"
    theirs = {"contractId": contract.id, "content": "x", "attachments": [first["id"]]}
    ok, _ = await contract.ben.rest("POST", "/api/messages", theirs)
    assert ok == 201
    gone = {**theirs, "attachments": [{"id": str(uuid.uuid4())}]}
    bad(await contract.ben.rest("POST", "/api/messages", gone), "NOT_FOUND")
    for wrong in ([{"name": "no id"}], [1], "x"):
        refusal = await alice.call("create_message", {**theirs, "attachments": wrong})
        bad(refusal, "INVALID", "attachments")


async def test_a_fresh_token_keeps_the_socket(program: Program, users: ChatUsers) -> None:
    ann = users.user("ann")
    socket = await program.connect(ann, users.url, CONTRACTS)

    renewed = await socket.call_ok("reauthenticate", {"token": fresh(users.secret, ann.id)})

    assert renewed == {"success": True, "expiresAt": A_TIME}
    assert (await socket.inspect())["connected"] is True
