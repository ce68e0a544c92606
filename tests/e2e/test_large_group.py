"""A group of 1,301: everyone is counted, named, found page by page, and sees themselves."""

from typing import Any

import pytest

from clients.chat import ChatUsers, User, eventually

pytestmark = pytest.mark.usefixtures("quiet")

CONVERSATIONS = "/chats/conversations"
SIZE = 1_301
PRESENCE_MEMBERS = 200
"""The setting's default: alice, and so many others, are one too many."""


def ids(people: list[dict[str, Any]]) -> list[str]:
    return [person["_id"] for person in people]


async def pages_of(user: User, path: str, field: str, **query: Any) -> list[dict[str, Any]]:
    """Read a list by its cursors."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        status, page = await user.rest("GET", path, **query, **({"after": cursor} if cursor else {}))
        assert status == 200, page
        found += page[field]
        cursor = page["nextCursor"]
    return found


async def test_a_group_of_1301_is_whole(users: ChatUsers) -> None:
    alice, bob, zoe = await users.sockets("alice", "bob", "zoe")
    owner, last = users.user("alice"), users.user("zoe")
    # All of the group have ids of this test's own, and those of the sockets come first and last.
    others = [users.user(f"member-{number:04}").id for number in range(SIZE - 3)]
    first = [users.user("bob").id, *others[:999]]
    created = await alice.call_ok("createConversation", {"type": "group", "participants": first})
    group = created["conversation"]["_id"]
    assert created["conversation"]["participantCount"] == 1_001
    received = await bob.wait_for("conversationCreated", _id=group)
    assert (received["participantCount"], len(received["participants"])) == (1_001, 50)

    path = f"{CONVERSATIONS}/{group}/participants"
    added = [*others[999:], last.id]
    status, answer = await owner.rest("POST", path, {"participants": added})
    assert status == 200

    await eventually(
        lambda: sum(len(e["participants"]) for e in bob.events("participantsAdded")) >= len(added)
    )
    named = [person for event in bob.events("participantsAdded") for person in event["participants"]]
    assert sorted(ids(named)) == sorted(added)
    received = await zoe.wait_for("conversationCreated", _id=group)
    for seen, most in ((answer, 1_001), (received, 50)):
        assert (seen["participantCount"], len(seen["participants"])) == (SIZE, most)
    assert last.id in ids(received["participants"])
    assert owner.id in ids(answer["participants"])

    _, one = await last.rest("GET", f"{CONVERSATIONS}/{group}")
    _, listed = await last.rest("GET", CONVERSATIONS)
    for seen in (one, listed["conversations"][0]):
        assert seen["participantCount"] == SIZE
        assert last.id in ids(seen["participants"])
    everyone = await pages_of(last, path, "participants")
    assert len(everyone) == SIZE
    assert set(ids(everyone)) == {owner.id, *first, *added}
    assert (everyone[0]["_id"], everyone[0]["role"]) == (owner.id, "owner")
    receipts = await pages_of(last, f"{CONVERSATIONS}/{group}/receipts", "receipts")
    assert {receipt["userId"] for receipt in receipts} == set(ids(everyone))


async def test_a_large_group_does_not_announce_its_members_and_answers_who_is_online(
    users: ChatUsers,
) -> None:
    alice, bob, zoe = await users.sockets("alice", "bob", "zoe")
    others = [users.user(f"member-{number:03}").id for number in range(PRESENCE_MEMBERS)]
    wanted = {"type": "group", "participants": [users.user("bob").id, *others]}
    created = await alice.call_ok("createConversation", wanted)
    group = created["conversation"]["_id"]
    await bob.wait_for("conversationCreated", _id=group)
    small = await users.group(alice, "zoe")
    await zoe.wait_for("conversationCreated", _id=small)

    await bob.close()
    back = await users.user("bob").socket()
    online = {users.user(name).id for name in ("alice", "bob")}
    assert set((await back.call_ok("getOnlineUsers"))["users"]) == online
    assert back.events("onlineUsers")[0] == [users.user("bob").id]
    # The smaller group announces what the larger does not.
    await zoe.close()
    await alice.wait_for("userStatusChanged", userId=users.user("zoe").id, status="offline")
    assert alice.events("userStatusChanged", userId=users.user("bob").id) == []


async def test_a_group_that_shrinks_announces_again(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    others = [users.user(f"member-{number:03}").id for number in range(PRESENCE_MEMBERS - 1)]
    wanted = {"type": "group", "participants": [users.user("bob").id, *others]}
    created = await alice.call_ok("createConversation", wanted)
    path = f"{CONVERSATIONS}/{created['conversation']['_id']}/participants/{others[-1]}"
    assert (await users.user("alice").rest("DELETE", path))[0] == 200
    await alice.wait_for("participantRemoved", userId=others[-1])

    (bob,) = await users.sockets("bob")
    await alice.wait_for("userStatusChanged", userId=users.user("bob").id, status="online")
    assert users.user("alice").id in bob.events("onlineUsers")[0]


async def test_pages_of_participants_are_for_members_and_by_valid_cursors(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    path = f"{CONVERSATIONS}/{group}/participants"
    assert len(await pages_of(users.user("bob"), path, "participants", limit=1)) == 2
    for user, query, status in (("carol", {}, 404), ("bob", {"after": "x"}, 400), ("bob", {"limit": 0}, 400)):
        assert (await users.user(user).rest("GET", path, **query))[0] == status
