"""A new member misses no message that is sent while it joins."""

import asyncio

from clients.chat import ChatUsers, eventually
from parley.stack import Stack

CONVERSATIONS = 20


async def test_the_first_message_is_confirmed_though_its_conversation_has_just_begun(
    users: ChatUsers,
) -> None:
    alice, bob = await users.sockets("alice", "bob")

    async def begin(number: int) -> str:
        conversation = await users.group(alice, "bob")
        await alice.send(conversation, "first", tempId=f"{conversation}-1")
        return conversation

    begun = await asyncio.gather(*(begin(n) for n in range(CONVERSATIONS)))
    await eventually(lambda: len(alice.events("messageSent")) >= CONVERSATIONS)
    await eventually(lambda: len(bob.events("conversationCreated")) >= CONVERSATIONS)
    for conversation in begun:
        await alice.send(conversation, "second", tempId=f"{conversation}-2")
    for conversation in begun:
        await alice.wait_for("messageSent", tempId=f"{conversation}-2")
    sent = [p["tempId"] for p in alice.events("messageSent")]
    assert sorted(sent) == sorted(f"{c}-{n}" for c in begun for n in (1, 2))
    assert bob.events("messageSent") == []


async def test_unread_includes_messages_sent_before_the_news_of_the_conversation(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    conversation = await users.group(alice, "bob")
    for number in range(5):
        await alice.send(conversation, f"{number}")
    await bob.wait_for("unreadCount", conversationId=conversation, unread=5)
    assert await users.user("bob").unread(conversation) == 5


async def test_members_see_whether_an_added_member_is_online(users: ChatUsers, stack: Stack) -> None:
    alice, carol = [
        await users.user(name).socket(url=url)
        for name, url in zip(("alice", "carol"), stack.gateway_urls, strict=True)
    ]
    group = await users.group(alice, "carol")
    await carol.wait_for("conversationCreated", _id=group)
    bob = users.user("bob")
    path = f"/chats/conversations/{group}/participants"
    assert (await users.user("alice").rest("POST", path, {"participants": [bob.id]}))[0] == 200
    for socket in (alice, carol):
        await socket.wait_for("participantsAdded", conversationId=group)
        # The gateway has processed the event when it answers a later request.
        await socket.call_ok("getOnlineUsers")

    await bob.socket()

    for socket in (alice, carol):
        await socket.wait_for("userStatusChanged", userId=bob.id, status="online")
