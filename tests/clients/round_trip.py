"""A message's round trip through a stack: from its sender to the archive and to a member."""

from clients.chat import ChatUsers
from parley.stack import Stack


async def assert_message_round_trip(stack: Stack) -> None:
    """Check that a message is sent, received, read and stored."""
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
