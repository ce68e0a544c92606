"""The hooks of two guides, run by React: the state that they show after each event, on two gateways."""

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
    first, second = [(await contract.start(milestoneId=m))["conversationId"] for m in ("m1", "m2")]
    alice = await program.connect(contract.ann, users.url, CONTRACTS)
    for conversation in (first, second):
        await alice.ask("join_conversation", {"conversationId": conversation})
    bob = await Hook.mount(program, "useMessaging", contract.ben, users.url, CONTRACTS, first, alice)
    await bob.becomes(isConnected=True)
    await joined(bob, first)

    hello = await told(alice, bob, first, "Hello!")
    await bob.becomes(messages=[hello])
    for is_typing in (True, False):
        await alice.ask("typing", {"conversationId": first, "isTyping": is_typing})
        await bob.becomes(isTyping=is_typing)
    await bob.call("indicateTyping", True)
    typing = {"conversationId": first, "userId": contract.ben.id, "isTyping": True}
    assert await alice.inbound("user_typing") == typing
    await bob.call("markAsRead")
    assert (await alice.inbound("messages_read"))["userId"] == contract.ben.id
    await bob.call("sendMessage", "My own.")
    own = await alice.inbound("new_message", 2)
    await bob.becomes(messages=[hello, own])
    await bob.call("sendMessage", "  ")
    await eventually(lambda: program.complaints)
    assert program.complaints == ["Error sending message: content: It must not be empty."]

    await bob.show(second)
    await joined(bob, second)
    await alice.ask("send_message", {"conversationId": first, "content": "Where he is no more."})
    await bob.socket.inbound("message_notification")
    beyond = await told(alice, bob, second, "Where he is now.")
    await bob.becomes(messages=[hello, own, beyond])

    await program.do("drop", bob.socket.name)
    await bob.becomes(isConnected=False)
    await bob.becomes(isConnected=True)

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
    """Words of one socket are taken in their order: after this answer the hook's own have been, too."""
    event = "mark_as_read" if hook.socket.protocol is CONTRACTS else "markConversationAsRead"
    await hook.socket.ask(event, {"conversationId": conversation})


async def told(alice: JsSocket, bob: Hook, conversation: str, content: str) -> Any:
    """The message that alice sends, as bob's socket hears it."""
    before = len(bob.socket.all("new_message"))
    await alice.ask("send_message", {"conversationId": conversation, "content": content})
    return await bob.socket.inbound("new_message", before + 1)


async def disconnected(hook: Hook) -> bool:
    return bool(await hook.socket.inbound("disconnect", 2))


async def test_the_groups_guide_s_hook_shows_what_happens_in_its_conversation(
    program: Program, users: ChatUsers
) -> None:
    ann, ben, cid = (users.user(name) for name in ("ann", "ben", "cid"))
    alice = await program.connect(ann, users.url, GROUPS)
    group, other = [
        (
            await alice.ask(
                "createConversation", {"type": "group", "name": "Plans", "participants": [ben.id, cid.id]}
            )
        )["conversation"]["_id"]
        for _ in range(2)
    ]
    for conversation in (group, other):
        await alice.ask("joinRoom", {"conversationId": conversation})
    bob = await Hook.mount(program, "useChat", ben, users.url, GROUPS, group, alice)
    await bob.becomes(isConnected=True)
    await eventually(lambda: bob.states[-1]["onlineUsers"])
    assert sorted(bob.states[-1]["onlineUsers"]) == [ann.id, ben.id]
    online = bob.states[-1]["onlineUsers"]
    await joined(bob, group)

    await alice.ask("sendMessage", {"conversationId": group, "content": "Hello!"})
    hello = (await bob.socket.inbound("newMessage"))["message"]
    await bob.becomes(messages=[hello])
    for _ in range(2):
        await alice.ask("typing", {"conversationId": group})
    await bob.becomes(typingUsers=[{"userId": ann.id, "username": ann.id}])
    await alice.ask("stopTyping", {"conversationId": group})
    await bob.becomes(typingUsers=[])

    await bob.call("startTyping")
    assert (await alice.inbound("userTyping"))["userId"] == ben.id
    await bob.call("stopTyping")
    assert await alice.inbound("userStoppedTyping") == {"userId": ben.id, "conversationId": group}
    await bob.call("sendMessage", "  My own.  ")
    own = (await alice.inbound("newMessage", 2))["message"]
    assert own["content"] == "My own."
    await bob.becomes(messages=[hello, own])
    await alice.ask("markAsRead", {"conversationId": group, "messageId": own["_id"]})
    await bob.becomes(messages=[hello, {**own, "status": "read"}])
    await bob.call("markAsRead", hello["_id"])
    assert (await alice.inbound("messageRead", 2))["readBy"] == ben.id
    read = [{**hello, "status": "read"}, {**own, "status": "read"}]
    await bob.becomes(messages=read)

    carl = await program.connect(cid, users.url, GROUPS)
    await bob.becomes(onlineUsers=[*online, cid.id])
    await carl.close()
    await bob.becomes(onlineUsers=online)

    await bob.show(other)
    await joined(bob, other)
    await alice.ask("sendMessage", {"conversationId": group, "content": "Where he is no more."})
    await alice.ask("sendMessage", {"conversationId": other, "content": "Where he is now."})
    await eventually(lambda: bob.states[-1]["messages"][2:])
    assert [m["content"] for m in bob.states[-1]["messages"]] == ["Hello!", "My own.", "Where he is now."]

    await program.do("drop", bob.socket.name)
    await bob.becomes(isConnected=False)
    await bob.becomes(isConnected=True)
    await bob.unmount()
    assert await disconnected(bob)
    assert program.complaints == []
