"""Invalid lists of participants are refused, in new conversations and in additions."""

import uuid
from typing import Any

import pytest

from clients.baseline import Baseline, refusal
from clients.chat import ChatUsers, token
from clients.raw import request
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

CONVERSATIONS = "/chats/conversations"
NOT_IDS: list[Any] = [None, 1.5, True, [], ["x"], {}, {"$ne": ""}, "", "x" * 129, "a\x00b", "a\nb", "\x7f"]
NOT_LISTS: list[Any] = [None, "bob", 5, True, {}, {"0": "bob"}, {"$in": ["bob"]}]


def wrong_lists(baseline: Baseline) -> list[list[Any]]:
    """Invalid lists of other users."""
    me, bob = baseline.user.id, baseline.users.user("bob").id
    return [
        [],
        [bob, bob],
        [me],
        [bob, me],
        [f"user-{number}" for number in range(1_001)],
        *([bob, wrong] for wrong in NOT_IDS),
    ]


@pytest.mark.parametrize("field", ["participants", "participantIds"])
@pytest.mark.parametrize("kind", ["group", "direct"])
async def test_no_conversation_starts_with(field: str, kind: str, baseline: Baseline) -> None:
    for wrong in [*wrong_lists(baseline), *NOT_LISTS]:
        body = {"type": kind, field: wrong}
        await baseline.assert_refused("INVALID", "createConversation", body)
        await baseline.assert_refused_by_rest(400, "INVALID", "POST", CONVERSATIONS, body)


async def test_no_conversation_starts_without_any(baseline: Baseline) -> None:
    for body in ({}, {"type": "group"}, {"type": "direct", "name": "hello"}):
        await baseline.assert_refused("INVALID", "createConversation", body)
        await baseline.assert_refused_by_rest(400, "INVALID", "POST", CONVERSATIONS, body)


async def test_a_direct_conversation_is_of_two(baseline: Baseline) -> None:
    body = {"type": "direct", "participants": ["one", "two"]}

    await baseline.assert_refused("INVALID", "createConversation", body)
    await baseline.assert_refused_by_rest(400, "INVALID", "POST", CONVERSATIONS, body)


async def test_users_may_be_named_by_numbers_as_their_tokens_name_them(
    users: ChatUsers, stack: Stack
) -> None:
    (alice,) = await users.sockets("alice")
    number = uuid.uuid4().int >> 80
    headers = {"Authorization": f"Bearer {token(stack.jwt_secret, str(number))}"}

    created = await alice.call_ok("createConversation", {"type": "group", "participants": [number]})
    group = created["conversation"]["_id"]
    status, _ = await users.user("alice").rest(
        "POST", f"{CONVERSATIONS}/{group}/participants", {"participants": [number + 1, float(number + 2)]}
    )

    assert status == 200
    seen = await request(stack.url, "GET", f"{CONVERSATIONS}/{group}", **headers)
    found = {each["_id"] for each in seen.body["participants"]}
    assert found == {users.user("alice").id, *(str(number + each) for each in range(3))}


async def test_both_names_of_the_list_at_once_are_refused(baseline: Baseline) -> None:
    bob, dave = baseline.users.user("bob").id, baseline.users.user("dave").id
    for one, other in ([bob], [dave]), ([], [dave]), ([bob], []):
        body = {"type": "group", "participants": one, "participantIds": other}
        await baseline.assert_refused("INVALID", "createConversation", body)
        await baseline.assert_refused_by_rest(400, "INVALID", "POST", CONVERSATIONS, body)


async def test_nobody_is_added_by_such_a_list(baseline: Baseline) -> None:
    where = f"{CONVERSATIONS}/{baseline.group}/participants"
    for wrong in [*wrong_lists(baseline), *NOT_LISTS]:
        await baseline.assert_refused_by_rest(400, "INVALID", "POST", where, {"participants": wrong})
        await baseline.assert_refused_by_rest(400, "INVALID", "POST", where, {"participantIds": wrong})
    await baseline.assert_refused_by_rest(400, "INVALID", "POST", where, {})
    both = {"participants": ["x"], "participantIds": ["y"]}
    await baseline.assert_refused_by_rest(400, "INVALID", "POST", where, both)
    await baseline.assert_refused_by_rest(
        400, "INVALID", "POST", where, {"participants": ["x"], "role": "owner"}
    )


@pytest.mark.parametrize("field", ["participants", "participantIds"])
async def test_users_are_added_by_either_name_of_the_list(field: str, users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    erin = users.user("erin").id

    path = f"{CONVERSATIONS}/{group}/participants"
    status, conversation = await users.user("alice").rest("POST", path, {field: [erin]})

    assert (status, conversation.get("participantCount")) == (200, 3), conversation
    assert erin in [each["_id"] for each in conversation["participants"]]


async def test_the_path_and_not_the_body_selects_the_conversation(users: ChatUsers) -> None:
    alice, carol = await users.sockets("alice", "carol")
    group, elsewhere = await users.group(alice, "bob"), await users.group(carol, "dave")
    body = {"participants": [users.user("erin").id], "conversationId": elsewhere}

    status, _ = await users.user("alice").rest("POST", f"{CONVERSATIONS}/{group}/participants", body)

    assert status == 200
    status, other = await users.user("carol").rest("GET", f"{CONVERSATIONS}/{elsewhere}")
    assert (status, len(other["participants"])) == (200, 2)


async def test_a_thousand_and_one_are_a_group(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    people = [f"{users.user('extra').id}-{number}" for number in range(1_000)]

    group = (await alice.call_ok("createConversation", {"type": "group", "participants": people}))[
        "conversation"
    ]

    assert {p["_id"] for p in group["participants"]} == {users.user("alice").id, *people}


async def test_adding_who_is_there_already_changes_nothing(users: ChatUsers, database: Any) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await alice.send(group, "one", tempId="t")
    await alice.wait_for("messageSent", tempId="t")
    before = await database["memberships"].find({"conversationId": group}).to_list(None)

    status, _ = await users.user("alice").rest(
        "POST", f"{CONVERSATIONS}/{group}/participants", {"participants": [users.user("bob").id]}
    )

    assert status == 200
    assert await database["memberships"].find({"conversationId": group}).to_list(None) == before
    assert bob.events("participantsAdded") == []


@pytest.mark.parametrize(
    "user_id", ["https://id.example/users/1", "auth0|42", "a/b", "a b", "\u00e9\u4e2d", "%2F"]
)
async def test_a_users_id_may_have_any_printable_character(user_id: str, users: ChatUsers) -> None:
    alice, other = await users.sockets("alice", user_id)

    group = await users.group(alice, user_id)

    await other.wait_for("conversationCreated", _id=group)
    await other.call_ok("joinRoom", {"conversationId": group})
    await alice.send(group, "hello")
    await other.wait_for("newMessage", conversationId=group)
    await other.send(group, "hello yourself", tempId="t")
    await other.wait_for("messageSent", tempId="t")
    assert (await alice.call_ok("getOnlineUsers"))["users"].count(users.user(user_id).id) == 1
    refusal(await other.call("joinRoom", {"conversationId": "none"}), "NOT_FOUND")
