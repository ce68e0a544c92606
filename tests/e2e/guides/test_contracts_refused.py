"""Events and routes of the contracts protocol refuse strangers and bad input."""

import uuid
from typing import Any

import aiohttp

from clients.chat import ChatUsers
from clients.contracts import (
    ALL,
    SampleContract,
    bad,
    both,
    contents,
    conversations,
    counts,
    paths,
    person,
    words,
)
from clients.javascript import JsSocket, Program
from clients.poison import clear_away, send_unstorable
from parley.gateway.protocols.contracts import CONTRACTS
from parley.stack import Stack

"""A time before the year 1 in UTC, which no MongoDB driver can write."""


async def test_only_admins_and_services_make_contracts_known(
    users: ChatUsers, contract: SampleContract
) -> None:
    path = f"/api/contracts/{contract.id}"
    body = {"clientId": users.user("mallory").id, "freelancerId": contract.ben.id, "milestones": []}
    for user in (users.user("mallory"), contract.ann, users.user("eve", role="client")):
        bad(await user.rest("PUT", path, body), "FORBIDDEN")
    status, _ = await users.user("boss", role="admin").rest(
        "PUT", path, {"clientId": contract.ann.id, "freelancerId": contract.ben.id}
    )
    assert status == 200
    wrong: dict[str, Any] = {
        "freelancerId": {"clientId": contract.ann.id, "freelancerId": contract.ann.id},
        "clientId": {"freelancerId": contract.ann.id},
        "milestones": {
            "clientId": contract.ann.id,
            "freelancerId": contract.ben.id,
            "milestones": ["m", "m"],
        },
        "client": {**body, "client": "ann"},
    }
    for field, payload in wrong.items():
        bad(await contract.clerk.rest("PUT", path, payload), "INVALID", field)
    hello = await contract.start_conversation()
    assert hello["sender"] == person(contract.ann)


async def test_for_everybody_else_a_contract_looks_like_none(
    program: Program, users: ChatUsers, contract: SampleContract
) -> None:
    sent = await contract.start_conversation(milestoneId="m1")
    conversation = sent["conversationId"]
    for user in (contract.cid, users.user("boss", role="admin"), contract.clerk):
        socket = await program.connect(user, users.url, CONTRACTS)
        for event, payload in words(conversation, sent["id"], contract.id, "m1").items():
            nowhere = words("nowhere", str(uuid.uuid4()), "no-contract", "m9")[event]
            refused = await socket.call(event, payload)
            bad(refused, "NOT_FOUND")
            assert refused == await socket.call(event, nowhere), event
        for there, nowhere in zip(
            paths(conversation, contract.id, "m1"), paths("nowhere", "no-contract", "m9"), strict=True
        ):
            refused = await user.rest(*there)
            bad(refused, "NOT_FOUND")
            assert refused == await user.rest(*nowhere), there
        assert (await conversations(user, contractId=contract.id))["total"] == 0
        assert counts(program, socket) == {"connected": 1}

    bob = await program.connect(contract.ben, users.url, CONTRACTS)
    unknown = {"contractId": contract.id, "milestoneId": "m9", "content": "x"}
    refused = bad(await bob.call("create_message", unknown), "NOT_FOUND")
    assert refused == bad(await contract.ben.rest("POST", "/api/messages", unknown), "NOT_FOUND")
    elsewhere = await contract.start_conversation("elsewhere")
    answer = await contract.ben.rest("GET", f"{ALL}/{conversation}/messages", before=elsewhere["id"])
    bad(answer, "NOT_FOUND")
    assert await contents(contract.ben, conversation) == [sent["content"]]


BAD_WORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "no conversation": ("conversationId", {"content": "x"}),
    "no text": ("content", {"conversationId": "c", "content": 5}),
    "only white space": ("content", {"conversationId": "c", "content": "  "}),
    "too long": ("content", {"conversationId": "c", "content": "x" * 8_001}),
    "no such type": ("messageType", {"conversationId": "c", "content": "x", "messageType": "voice"}),
    "a file without one": ("attachments", {"conversationId": "c", "content": "x", "messageType": "file"}),
    "too many files": ("attachments", {"conversationId": "c", "content": "x", "attachments": ["a"] * 11}),
    "no uuid": ("clientMessageId", {"conversationId": "c", "content": "x", "clientMessageId": "7"}),
    "an unknown field": ("milestoneId", {"conversationId": "c", "content": "x", "milestoneId": "m1"}),
}


async def test_a_message_that_makes_no_sense_is_refused_by_its_field(
    program: Program, users: ChatUsers, contract: SampleContract
) -> None:
    conversation = (await contract.start_conversation("The only one."))["conversationId"]
    socket = await program.connect(contract.ben, users.url, CONTRACTS)
    for field, payload in BAD_WORDS.values():
        if "conversationId" in payload:
            payload = {**payload, "conversationId": conversation}
        text = bad(await socket.call("send_message", payload), "INVALID", field)
        rest = {name: value for name, value in payload.items() if name != "conversationId"}
        if field != "conversationId":
            path = f"{ALL}/{conversation}/messages"
            assert bad(await contract.ben.rest("POST", path, rest), "INVALID", field) == text
    system = {"conversationId": conversation, "content": "x", "messageType": "system"}
    bad(await socket.call("send_message", system), "FORBIDDEN")
    other_words: dict[str, tuple[str, dict[str, Any]]] = {
        "create_message": ("contractId", {"content": "x"}),
        "typing": ("isTyping", {"conversationId": conversation, "isTyping": "yes"}),
        "join_conversation": ("conversationId", {}),
        "leave_conversation": ("conversationId", {"conversationId": ""}),
        "mark_as_read": ("messageId", {"conversationId": conversation, "messageId": "x"}),
        "update_message": ("content", {"messageId": "x"}),
        "delete_message": ("messageId", {}),
    }
    for event, (field, payload) in other_words.items():
        bad(await socket.call(event, payload), "INVALID", field)
    unknown = await socket.call("sendMessage", {"conversationId": conversation, "content": "x"})
    assert unknown["code"] == "UNKNOWN_EVENT"
    assert await contents(contract.ben, conversation) == ["The only one."]


async def test_an_object_without_an_id_is_refused_with_what_it_lacks(contract: SampleContract) -> None:
    described = {"url": "https://files.example/plan.pdf", "fileName": "plan.pdf"}
    body = {"contractId": contract.id, "content": "x", "attachments": [described]}
    text = bad(await contract.ann.rest("POST", "/api/messages", body), "INVALID", "attachments")
    assert text == "attachments: An object needs the `id` of a file that POST /attachments has stored."

    parties = {"clientId": contract.ann.id, "freelancerId": contract.ben.id}
    body = {**parties, "milestones": [{"title": "Design"}]}
    answer = await contract.clerk.rest("PUT", f"/api/contracts/{contract.id}", body)
    assert bad(answer, "INVALID", "milestones") == "milestones: An object needs an `id` or an `_id`."


async def test_a_bad_request_names_the_wrong_field(users: ChatUsers, contract: SampleContract) -> None:
    conversation = (await contract.start_conversation())["conversationId"]
    wrong: list[tuple[str, str, dict[str, Any]]] = [
        ("page", ALL, {"page": 0}),
        ("limit", ALL, {"limit": 101}),
        ("includeArchived", ALL, {"includeArchived": "maybe"}),
        ("page", f"{ALL}/{conversation}/messages", {"page": "x"}),
        ("limit", f"{ALL}/{conversation}/messages", {"limit": 0}),
        ("before", f"{ALL}/{conversation}/messages", {"before": "x" * 129}),
    ]
    for field, path, query in wrong:
        bad(await contract.ann.rest("GET", path, **query), "INVALID", field)
    assert (await contract.ann.rest("GET", ALL, cursor="x", _="123"))[0] == 200
    archived = {"archived": "yes"}
    bad(await contract.ann.rest("PATCH", f"{ALL}/{conversation}/archive", archived), "INVALID", "archived")
    async with aiohttp.ClientSession() as nobody, nobody.get(users.url + ALL) as answer:
        bad((answer.status, await answer.json()), "UNAUTHORIZED")


async def test_a_send_that_comes_again_is_one_message_whichever_gateway_takes_it(
    program: Program, users: ChatUsers, contract: SampleContract
) -> None:
    alice = await program.connect(contract.ann, users.url, CONTRACTS)
    elsewhere = await program.connect_elsewhere(contract.ann, users.url, CONTRACTS, alice)
    bob = await program.connect(contract.ben, users.url, CONTRACTS)
    wish = {"contractId": contract.id, "content": "Once.", "clientMessageId": str(uuid.uuid4())}
    first = (await alice.call_ok("create_message", wish))["message"]
    for socket in (alice, elsewhere):
        again = (await socket.call_ok("create_message", wish))["message"]
        assert (again["id"], again["conversationId"]) == (first["id"], first["conversationId"])
    await alice.call_ok("create_message", {"contractId": contract.id, "content": "After."})
    await bob.wait_for("message_notification", 2)
    assert [each["message"]["content"] for each in bob.events("message_notification")] == ["Once.", "After."]

    bad(await alice.call("create_message", {**wish, "content": "Other."}), "CONFLICT", "messageId")


async def test_a_send_that_another_contradicts_is_rejected(
    program: Program, users: ChatUsers, contract: SampleContract
) -> None:
    alice = await program.connect(contract.ann, users.url, CONTRACTS)
    elsewhere = await program.connect_elsewhere(contract.ann, users.url, CONTRACTS, alice)
    wish = {"contractId": contract.id, "content": "The first.", "clientMessageId": str(uuid.uuid4())}
    first = (await alice.call_ok("create_message", wish))["message"]
    await alice.wait_for("message_notification")

    await elsewhere.call_ok("create_message", {**wish, "content": "The second."})

    for socket in (alice, elsewhere):
        rejected = await socket.wait_for("message_rejected")
        assert rejected == {
            "conversationId": first["conversationId"],
            "messageId": first["id"],
            "clientMessageId": wish["clientMessageId"],
            "error": rejected["message"],
            "message": rejected["message"],
            "code": "CONFLICT",
            "retryable": False,
        }
    assert await contents(contract.ben, first["conversationId"]) == ["The first."]


async def test_a_send_that_cannot_be_stored_has_failed(
    program: Program, users: ChatUsers, contract: SampleContract, stack: Stack
) -> None:
    alice, bob = await both(program, users, contract)
    conversation = (await contract.start_conversation())["conversationId"]
    await alice.wait_for("message_notification")
    bad = await send_unstorable(stack, contract.ann, conversation)

    failed = await alice.wait_for("message_failed")
    assert failed == {
        "conversationId": conversation,
        "messageId": bad,
        "clientMessageId": None,
        "error": failed["message"],
        "message": failed["message"],
        "code": failed["code"],
        "retryable": False,
    }
    assert bob.events("message_failed") == []
    await clear_away(stack)


async def test_a_bad_token_is_a_connect_error_with_its_reason(program: Program, stack: Stack) -> None:
    options = {"auth": {"token": "not.a.token"}}
    await program.command("open", "mallory", url=f"{stack.url}/messages", options=options)
    error = await JsSocket(program, "mallory").wait_for("connect_error")
    assert (error["message"], error["data"]["code"]) == ("The token is invalid.", "UNAUTHORIZED")
