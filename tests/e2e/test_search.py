"""Search through nginx: in one's own conversations, and nowhere else."""

import asyncio
import time
import uuid
from typing import Any

import pytest

from clients.chat import Socket, Town, User, eventually
from parley.shared.documents import CONVERSATIONS, MESSAGES, to_document
from parley.shared.model import MAX_CONTENT, Message, now

pytestmark = pytest.mark.usefixtures("quiet")


async def search(user: User, text: str, **query: Any) -> dict[str, Any]:
    """One page."""
    status, page = await user.rest("GET", "/search", q=text, **query)
    assert status == 200, page
    assert set(page) == {"messages", "nextCursor"}
    found: dict[str, Any] = page
    return found


async def contents(user: User, text: str, **query: Any) -> list[str]:
    """What was said in the messages of the first page."""
    return [m["content"] for m in (await search(user, text, **query))["messages"]]


async def refused(user: User, **query: Any) -> tuple[int, Any]:
    return await user.rest("GET", "/search", **query)


async def stored(socket: Socket, conversation_id: str, *said: str) -> list[dict[str, Any]]:
    """Send messages, each after the one before was stored."""
    messages = []
    for content in said:
        message = await socket.say(conversation_id, content)
        await socket.inbound("messageSent", messageId=message["_id"])
        messages.append(message)
    return messages


async def test_one_finds_what_was_said_in_all_of_ones_conversations(town: Town) -> None:
    ann, bob = await town.sockets("ann", "bob")
    one, other = await town.group(ann, "bob"), await town.group(ann, "bob")
    await stored(ann, one, "The quarterly report")
    await stored(bob, other, "Whose REPORT?", "nothing")
    (last,) = await stored(ann, one, "reporting back")

    page = await search(town.user("bob"), "report")

    assert [m["content"] for m in page["messages"]] == [
        "reporting back",
        "Whose REPORT?",
        "The quarterly report",
    ]
    assert page["nextCursor"] is None
    newest = page["messages"][0]
    assert newest["_id"] == last["_id"]
    assert newest["conversationId"] == one
    assert newest["seq"] == 2
    assert newest["sender"]["_id"] == town.user("ann").id
    assert await contents(town.user("bob"), "report", conversationId=one) == [
        "reporting back",
        "The quarterly report",
    ]


async def test_all_words_must_be_there(town: Town) -> None:
    (ann,) = await town.sockets("ann")
    group = await town.group(ann, "bob")
    await stored(ann, group, "red apple", "green apple", "Äpfel & $birnen (reif)")
    user = town.user("ann")

    assert await contents(user, "APPLE red") == ["red apple"]
    assert await contents(user, "äpfel $birnen (reif)") == ["Äpfel & $birnen (reif)"]
    assert await contents(user, ".*a") == []


async def test_a_stranger_finds_nothing_and_a_strangers_conversation_does_not_exist(town: Town) -> None:
    (ann,) = await town.sockets("ann")
    group = await town.group(ann, "bob")
    await stored(ann, group, "our secret")
    eve = town.user("eve")

    assert await search(eve, "secret") == {"messages": [], "nextCursor": None}
    theirs = await refused(eve, q="secret", conversationId=group)
    none = await refused(eve, q="secret", conversationId=str(uuid.uuid4()))
    assert theirs == none
    assert theirs[0] == 404


async def test_who_was_removed_finds_nothing_there_any_more(town: Town) -> None:
    ann, bob = await town.sockets("ann", "bob")
    group, other = await town.group(ann, "bob"), await town.group(bob, "cas")
    await stored(ann, group, "the plan")
    await stored(bob, other, "my plan")
    assert await contents(town.user("bob"), "plan") == ["my plan", "the plan"]

    path = f"/chats/conversations/{group}/participants/{town.user('bob').id}"
    status, body = await town.user("ann").rest("DELETE", path)
    assert status == 200, body

    assert await contents(town.user("bob"), "plan") == ["my plan"]
    await bob.inbound("participantRemoved", conversationId=group)
    assert (await refused(town.user("bob"), q="plan", conversationId=group))[0] == 404


async def test_an_edited_message_is_found_by_its_new_words_and_a_deleted_one_by_none(town: Town) -> None:
    (ann,) = await town.sockets("ann")
    group, user = await town.group(ann, "bob"), town.user("ann")
    edited, deleted = await stored(ann, group, "meet on Monday", "meet on Sunday")
    assert await contents(user, "monday") == ["meet on Monday"]

    await ann.do("editMessage", {"messageId": edited["_id"], "content": "meet on Tuesday"})
    await ann.do("deleteMessage", {"messageId": deleted["_id"]})

    async def changed() -> bool:
        return await contents(user, "meet") == ["meet on Tuesday"]

    await eventually(changed)
    assert await contents(user, "monday") == []
    assert await contents(user, "sunday") == []
    assert await contents(user, "tuesday") == ["meet on Tuesday"]


async def test_pages_follow_each_other_while_more_is_said(town: Town) -> None:
    (ann,) = await town.sockets("ann")
    groups, user = [await town.group(ann, "bob"), await town.group(ann, "bob")], town.user("ann")
    for n in range(9):
        await stored(ann, groups[n % 2], f"tea {n}")

    shown: list[str] = []
    page = await search(user, "tea", limit=2)
    while True:
        shown += [m["content"] for m in page["messages"]]
        if page["nextCursor"] is None:
            break
        await stored(ann, groups[0], "new tea")
        page = await search(user, "tea", limit=2, before=page["nextCursor"])

    assert shown == [f"tea {n}" for n in range(8, -1, -1)]


LONG = 500
MADE = ["a" * 49 + "b", " ".join("a" * n + "b" for n in (24, 23, 22, 21, 20, 19, 18, 17)), "ß" * 49 + "b"]


async def long_messages(database: Any, conversation_id: str, letters: str) -> None:
    """Let very long messages have been stored in a conversation that had none."""
    at = now()
    messages = [
        Message(
            id=str(uuid.uuid4()),
            conversation_id=conversation_id,
            sender_id="ann",
            seq=n,
            rev=n,
            content=(letters * MAX_CONTENT)[:MAX_CONTENT],
            created_at=at,
            stored_at=at,
        )
        for n in range(1, LONG + 1)
    ]
    for start in range(0, LONG, 100):
        await database[MESSAGES].insert_many(map(to_document, messages[start : start + 100]))
    await database[CONVERSATIONS].update_one(
        {"_id": conversation_id}, {"$set": {"lastSeq": LONG, "rev": LONG}}
    )


@pytest.mark.parametrize("made", MADE)
async def test_a_query_that_is_made_for_a_text_holds_up_nobody(made: str, town: Town, database: Any) -> None:
    (ann,) = await town.sockets("ann")
    group, user, other = await town.group(ann, "bob"), town.user("ann"), town.user("bob")
    await long_messages(database, group, "s" if "ß" in made else "a")

    searches = asyncio.gather(*(refused(user, q=made) for _ in range(4)))
    slowest = 0.0
    while not searches.done():
        began = time.monotonic()
        assert (await other.rest("GET", "/chat/unread-count"))[0] == 200
        slowest = max(slowest, time.monotonic() - began)

    assert slowest < 1
    for status, body in await searches:
        assert status == 429 if "error" in body else body["messages"] == []


@pytest.mark.parametrize(
    ("field", "query"),
    [
        ("q", {}),
        ("q", {"q": ""}),
        ("q", {"q": " ... "}),
        ("q", {"q": "x " * 101}),
        ("q", {"q": "x" * 51}),
        ("q", {"q": "a b c d e f g h i"}),
        ("q", {"q": "a\0b"}),
        ("limit", {"q": "tea", "limit": "0"}),
        ("limit", {"q": "tea", "limit": "101"}),
        ("limit", {"q": "tea", "limit": "many"}),
        ("before", {"q": "tea", "before": "yesterday"}),
        ("before", {"q": "tea", "before": ""}),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(field: str, query: dict[str, str], town: Town) -> None:
    status, body = await refused(town.user("ann"), **query)
    assert status == 400, body
    assert body["error"]["code"] == "INVALID"
    assert list(body["error"]["details"]) == [field]


async def test_who_has_no_token_searches_nothing(town: Town) -> None:
    nobody = User(town.url, "not the secret" * 4, "nobody")
    try:
        assert (await refused(nobody, q="tea"))[0] == 401
    finally:
        await nobody.close()
