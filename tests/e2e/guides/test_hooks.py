"""The React hooks of two guides: their state after each event, on two gateways."""

from typing import Any

from clients.chat import ChatUsers, eventually
from clients.contracts import SampleContract
from clients.hooks import Hook
from clients.javascript import JsSocket, Program
from parley.gateway.protocols.contracts import CONTRACTS
from parley.gateway.protocols.groups import GROUPS


async def test_the_contracts_guide_s_hook_shows_what_happens_in_its_conversation(
    program: Program, users: ChatUsers, contract: SampleContract
) -> None:
    first, second = [
        (await contract.start_conversation(milestoneId=m))["conversationId"] for m in ("m1", "m2")
    ]
    alice = await program.connect(contract.ann, users.url, CONTRACTS)
    for conversation in (first, second):
        await alice.call_ok("join_conversation", {"conversationId": conversation})
    bob = await Hook.mount(program, "useMessaging", contract.ben, users.url, CONTRACTS, first, alice)
    await bob.wait_for_state(isConnected=True)
    await joined(bob, first)

    hello = await reported(alice, bob, first, "Hello!")
    await bob.wait_for_state(messages=[hello])
    for is_typing in (True, False):
        await alice.call_ok("typing", {"conversationId": first, "isTyping": is_typing})
        await bob.wait_for_state(isTyping=is_typing)
    await bob.call("indicateTyping", True)
    typing = {"conversationId": first, "userId": contract.ben.id, "isTyping": True}
    assert await alice.wait_for("user_typing") == typing
    await bob.call("markAsRead")
    assert (await alice.wait_for("messages_read"))["userId"] == contract.ben.id
    await bob.call("sendMessage", "My own.")
    own = await alice.wait_for("new_message", 2)
    await bob.wait_for_state(messages=[hello, own])
    await bob.call("sendMessage", "  ")
    await eventually(lambda: program.complaints)
    assert program.complaints == ["Error sending message: content: It must not be empty."]

    await bob.show(second)
    await joined(bob, second)
    await alice.call_ok("send_message", {"conversationId": first, "content": "Where he is no more."})
    await bob.socket.wait_for("message_notification")
    beyond = await reported(alice, bob, second, "Where he is now.")
    await bob.wait_for_state(messages=[hello, own, beyond])

    await program.command("drop", bob.socket.name)
    await bob.wait_for_state(isConnected=False)
    await bob.wait_for_state(isConnected=True)

    off = {"messages": [], "isConnected": False, "isTyping": False}
    on = {**off, "isConnected": True}
    all_three = {**on, "messages": [hello, own, beyond]}
    assert bob.states == [
        off,
        on,
        {**on, "messages": [hello]},
        {**on, "messages": [hello], "isTyping": True},
        {**on, "messages": [hello]},
        {**on, "messages": [hello, own]},
        all_three,
        {**all_three, "isConnected": False},
        all_three,
    ]
    await bob.unmount()
    assert await disconnected(bob)
    assert len(program.complaints) == 1


async def joined(hook: Hook, conversation: str) -> None:
    """Wait for an ack: a socket's events are handled in order, so the hook's own are done too."""
    event = "mark_as_read" if hook.socket.protocol is CONTRACTS else "markConversationAsRead"
    await hook.socket.call_ok(event, {"conversationId": conversation})


async def reported(alice: JsSocket, bob: Hook, conversation: str, content: str) -> Any:
    """Send a message as alice; return it as bob's socket receives it."""
    before = len(bob.socket.events("new_message"))
    await alice.call_ok("send_message", {"conversationId": conversation, "content": content})
    return await bob.socket.wait_for("new_message", before + 1)


async def disconnected(hook: Hook) -> bool:
    return bool(await hook.socket.wait_for("disconnect", 2))


async def test_the_groups_guide_s_hook_shows_what_happens_in_its_conversation(
    program: Program, users: ChatUsers
) -> None:
    ann, ben, cid = (users.user(name) for name in ("ann", "ben", "cid"))
    alice = await program.connect(ann, users.url, GROUPS)
    group, other = [
        (
            await alice.call_ok(
                "createConversation", {"type": "group", "name": "Plans", "participants": [ben.id, cid.id]}
            )
        )["conversation"]["_id"]
        for _ in range(2)
    ]
    for conversation in (group, other):
        await alice.call_ok("joinRoom", {"conversationId": conversation})
    bob = await Hook.mount(program, "useChat", ben, users.url, GROUPS, group, alice)
    await bob.wait_for_state(isConnected=True)
    await eventually(lambda: bob.states[-1]["onlineUsers"])
    assert sorted(bob.states[-1]["onlineUsers"]) == [ann.id, ben.id]
    online = bob.states[-1]["onlineUsers"]
    await joined(bob, group)

    await alice.call_ok("sendMessage", {"conversationId": group, "content": "Hello!"})
    hello = (await bob.socket.wait_for("newMessage"))["message"]
    await bob.wait_for_state(messages=[hello])
    for _ in range(2):
        await alice.call_ok("typing", {"conversationId": group})
    await bob.wait_for_state(typingUsers=[{"userId": ann.id, "username": ann.id}])
    await alice.call_ok("stopTyping", {"conversationId": group})
    await bob.wait_for_state(typingUsers=[])

    await bob.call("startTyping")
    assert (await alice.wait_for("userTyping"))["userId"] == ben.id
    await bob.call("stopTyping")
    assert await alice.wait_for("userStoppedTyping") == {"userId": ben.id, "conversationId": group}
    await bob.call("sendMessage", "  My own.  ")
    own = (await alice.wait_for("newMessage", 2))["message"]
    assert own["content"] == "My own."
    await bob.wait_for_state(messages=[hello, own])
    await alice.call_ok("markAsRead", {"conversationId": group, "messageId": own["_id"]})
    await bob.wait_for_state(messages=[hello, {**own, "status": "read"}])
    await bob.call("markAsRead", hello["_id"])
    assert (await alice.wait_for("messageRead", 2))["readBy"] == ben.id
    read = [{**hello, "status": "read"}, {**own, "status": "read"}]
    await bob.wait_for_state(messages=read)

    carl = await program.connect(cid, users.url, GROUPS)
    await bob.wait_for_state(onlineUsers=[*online, cid.id])
    await carl.close()
    await bob.wait_for_state(onlineUsers=online)

    await bob.show(other)
    await joined(bob, other)
    await alice.call_ok("sendMessage", {"conversationId": group, "content": "Where he is no more."})
    await alice.call_ok("sendMessage", {"conversationId": other, "content": "Where he is now."})
    await eventually(lambda: bob.states[-1]["messages"][2:])
    assert [m["content"] for m in bob.states[-1]["messages"]] == ["Hello!", "My own.", "Where he is now."]

    await program.command("drop", bob.socket.name)
    await bob.wait_for_state(isConnected=False)
    await bob.wait_for_state(isConnected=True)
    await bob.unmount()
    assert await disconnected(bob)
    assert program.complaints == []
