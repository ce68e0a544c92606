"""Every request for a stranger's data is answered exactly as for data that does not exist."""

import json
import uuid
from typing import Any

import pytest

from clients.baseline import Baseline, refusal
from clients.chat import NAMESPACE, ChatUsers
from clients.raw import RawSocket, request
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

OF_CONVERSATION: dict[str, dict[str, Any]] = {
    "joinRoom": {},
    "sendMessage": {"content": "hello"},
    "typing": {},
    "stopTyping": {},
    "markConversationAsRead": {},
    "markAsDelivered": {"seq": 1},
}
OF_MESSAGE: dict[str, dict[str, Any]] = {
    "markAsRead": {},
    "editMessage": {"content": "hello"},
    "deleteMessage": {},
}
PATHS = [
    ("GET", "", None),
    ("GET", "/messages", None),
    ("GET", "/messages?after=0&limit=1", None),
    ("POST", "/read", "{}"),
    ("POST", "/leave", "{}"),
    ("POST", "/participants", '{"participants": ["mallory"]}'),
    ("DELETE", "/participants/mallory", None),
]


def nowhere() -> str:
    """Return a valid id that does not exist."""
    return str(uuid.uuid4())


@pytest.mark.parametrize("event", OF_CONVERSATION)
async def test_a_conversation_of_others_and_none_are_answered_alike(
    event: str, baseline: Baseline, stack: Stack
) -> None:
    raw = await (await RawSocket(stack.url).open()).connect_namespace({"token": baseline.user.token})
    answers = []
    for conversation_id in (
        baseline.elsewhere,
        nowhere(),
        baseline.elsewhere,
        "x",
        f"{baseline.elsewhere}:x",
    ):
        payload = json.dumps([event, {"conversationId": conversation_id, **OF_CONVERSATION[event]}])
        raw.frames.clear()
        refusal(await raw.call(1, payload), "NOT_FOUND")
        answers.append(await raw.wait_for(f"43{NAMESPACE},1["))
    await raw.close()

    assert len(set(answers)) == 1


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("event", OF_MESSAGE)
async def test_a_message_of_others_and_none_are_answered_alike(
    event: str, named: bool, baseline: Baseline, stack: Stack
) -> None:
    raw = await (await RawSocket(stack.url).open()).connect_namespace({"token": baseline.user.token})
    places = [
        (baseline.elsewhere, baseline.foreign["_id"]),
        (nowhere(), nowhere()),
        (baseline.elsewhere, nowhere()),
    ]
    if named:
        places += [(baseline.group, baseline.foreign["_id"]), (baseline.elsewhere, baseline.message["_id"])]
    answers = []
    for conversation_id, message_id in places:
        where = {"conversationId": conversation_id} if named else {}
        payload = json.dumps([event, {"messageId": message_id, **where, **OF_MESSAGE[event]}])
        raw.frames.clear()
        refusal(await raw.call(1, payload), "NOT_FOUND")
        answers.append(await raw.wait_for(f"43{NAMESPACE},1["))
    await raw.close()

    assert len(set(answers)) == 1


async def test_a_sync_answers_for_the_own_conversations_and_refuses_others_and_none_alike(
    baseline: Baseline, users: ChatUsers
) -> None:
    alice, unknown = await baseline.user.socket(), nowhere()

    answer = await alice.call_ok(
        "sync", {"conversations": {baseline.elsewhere: 0, baseline.group: 0, unknown: 0}}
    )

    found = answer["conversations"]
    assert found[baseline.group]["messages"]
    assert found[baseline.elsewhere] == found[unknown]
    assert "messages" not in found[unknown]
    assert found[unknown]["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
async def test_rest_answers_alike_for_a_conversation_of_others_and_for_none(
    method: str, path: str, body: str | None, baseline: Baseline, stack: Stack
) -> None:
    answers = []
    for conversation_id in (baseline.elsewhere, nowhere(), "x", f"{baseline.elsewhere}:x", "%24ne", ".%2e"):
        answers.append(
            await request(
                stack.url,
                method,
                f"/chats/conversations/{conversation_id}{path}",
                body,
                Authorization=f"Bearer {baseline.user.token}",
                Content_Type="application/json",
            )
        )
        assert answers[-1].status == 404
        refusal(answers[-1].body, "NOT_FOUND")

    assert len({answer.text for answer in answers[:-1]}) == 1
    assert len({_without_date(answer.headers) for answer in answers[:-1]}) == 1


async def test_rest_answers_alike_for_a_message_of_others_and_for_none(baseline: Baseline) -> None:
    path = "/chats/messages/"
    theirs = await baseline.assert_refused_by_rest(404, "NOT_FOUND", "DELETE", path + baseline.foreign["_id"])
    none = await baseline.assert_refused_by_rest(404, "NOT_FOUND", "DELETE", path + nowhere())

    assert theirs == none


async def test_a_conversation_id_and_a_colon_do_not_make_another_members_place(users: ChatUsers) -> None:
    alice = await users.user("alice").socket()
    with_colon, without = users.user("a:b"), users.user("a:b").id.removeprefix("a:")
    group = (await alice.call_ok("createConversation", {"type": "group", "participants": [with_colon.id]}))[
        "conversation"
    ]["_id"]
    assert without == users.user("b").id
    intruder = await users.user("b").socket()

    for event, more in OF_CONVERSATION.items():
        answer = await intruder.call(event, {"conversationId": f"{group}:a", **more})
        refusal(answer, "NOT_FOUND")


async def test_nothing_of_a_strangers_conversation_is_delivered_or_listed(baseline: Baseline) -> None:
    for event in ("joinRoom", "typing", "markConversationAsRead"):
        await baseline.assert_refused("NOT_FOUND", event, {"conversationId": baseline.elsewhere})
    await baseline.send_and_store(baseline.carol, baseline.elsewhere)
    await baseline.send_and_store(baseline.bob, baseline.group)
    await baseline.alice.wait_for("unreadCount", conversationId=baseline.group)

    status, listed = await baseline.user.rest("GET", "/chats/conversations")

    assert (status, [c["_id"] for c in listed["conversations"]]) == (200, [baseline.group])
    assert not [p for _, p in baseline.alice.received if baseline.elsewhere in str(p)]
    assert not [p for _, p in baseline.carol.received if baseline.group in str(p)]
    await baseline.capture()


async def test_a_strangers_typing_is_announced_to_nobody(baseline: Baseline) -> None:
    await baseline.carol.call_ok("joinRoom", {"conversationId": baseline.elsewhere})

    await baseline.assert_refused("NOT_FOUND", "typing", {"conversationId": baseline.elsewhere})

    await baseline.send_and_store(baseline.carol, baseline.elsewhere)
    await baseline.carol.wait_for("newMessage", conversationId=baseline.elsewhere)
    assert baseline.carol.events("userTyping") == []
    await baseline.capture()


def _without_date(headers: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in headers.items() if name != "Date"))
