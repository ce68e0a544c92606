"""A message's whole way through a stack, from one who says it to the archive and to one who hears it."""

from clients.chat import ChatUsers
from parley.stack import Stack


async def assert_message_round_trip(stack: Stack) -> None:
    """Said, heard, read, and there to be asked for."""
    users = ChatUsers(stack.url, stack.jwt_secret)
    try:
        alice, bob = await users.sockets("alice", "bob")
        group = await users.group(alice, "bob")
        await bob.call_ok("joinRoom", {"conversationId": group})
        await alice.send(group, "hello")
        await bob.wait_for("newMessage", conversationId=group)
        await bob.call_ok("markConversationAsRead", {"conversationId": group})
        assert len(await users.user("bob").history(group)) == 1
    finally:
        await users.close()
