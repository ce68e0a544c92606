"""What is not a message, and is lost while Redis is away, is made up for too."""

import asyncio
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from stack import Stack


async def test_marks_that_were_set_while_redis_was_away_are_told_when_it_is_back(
    fragile: Stack, town: Town, database: AsyncIOMotorDatabase[Any]
) -> None:
    alice, bob = await town.sockets("alice", "bob")
    group = await town.group(alice, "bob")
    for socket in (alice, bob):
        await socket.do("joinRoom", {"conversationId": group})
    await alice.say(group, "hello")
    heard = await bob.hears("newMessage", conversationId=group)

    await asyncio.to_thread(fragile.stop, "redis")
    await bob.do("markAsRead", {"messageId": heard["message"]["_id"]})

    async def stored() -> bool:
        member = await database.memberships.find_one({"_id": f"{group}:{town.user('bob').id}"})
        return bool(member and member["readSeq"] == 1)

    await eventually(stored)
    await asyncio.to_thread(fragile.start, "redis")

    receipt = await alice.hears("conversationRead", conversationId=group)
    assert (receipt["readBy"], receipt["seq"]) == (town.user("bob").id, 1)
    await bob.hears("unreadCount", conversationId=group, unread=0)
