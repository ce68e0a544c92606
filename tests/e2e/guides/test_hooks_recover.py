"""The React hooks of two guides join their room once, and stay in it after a reconnect."""

import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from clients.chat import ChatUsers, eventually
from clients.contracts import SampleContract
from clients.hooks import Hook
from clients.javascript import JsSocket, Program
from parley.gateway.protocols.contracts import CONTRACTS
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.protocol import ClientProtocol
from parley.stack import Stack


@dataclass
class Talk:
    """A sender, and a hook on another gateway that shows its messages."""

    program: Program
    stack: Stack
    conversation: str
    speaker: JsSocket
    hook: Hook

    async def send(self, *contents: str) -> None:
        event = "send_message" if self.speaker.protocol is CONTRACTS else "sendMessage"
        for content in contents:
            await self.speaker.call_ok(event, {"conversationId": self.conversation, "content": content})

    async def shows(self, *contents: str) -> None:
        """Wait for as many messages in the hook's state; check that they are these, in this order."""
        await eventually(lambda: len(self.shown) >= len(contents))
        assert self.shown == list(contents)

    @property
    def shown(self) -> list[str]:
        return [m["content"] for m in self.hook.states[-1]["messages"]]

    async def lose_socket(self, how: str) -> None:
        """Drop the hook's connection, or stop (`drain`) or kill its gateway; wait until the hook shows it."""
        if how == "drop":
            await self.program.command("drop", self.hook.socket.name)
        else:
            node = (await self.hook.socket.inspect())["node"]
            number = {"drain": signal.SIGTERM, "kill": signal.SIGKILL}[how]
            self.stack.signal(node.replace("g", "gateway-"), number)
        await self.hook.wait_for_state(isConnected=False)

    async def has_reconnected(self) -> None:
        await self.hook.wait_for_state(isConnected=True)
        assert (await self.hook.socket.inspect())["recovered"] is True


@pytest.fixture
def restored_stack(stack: Stack) -> Iterator[Stack]:
    """The stack; stopped parts are started again after the test."""
    yield stack
    stack.up()


@pytest.fixture(params=["useMessaging", "useChat"])
async def talk(
    request: pytest.FixtureRequest,
    program: Program,
    users: ChatUsers,
    contract: SampleContract,
    restored_stack: Stack,
) -> AsyncIterator[Talk]:
    """One of the hooks, after it has joined its room."""
    ann, ben = contract.ann, contract.ben
    protocol: ClientProtocol = {"useMessaging": CONTRACTS, "useChat": GROUPS}[request.param]
    speaker = await program.connect(ann, users.url, protocol)
    if protocol is CONTRACTS:
        conversation = (await contract.start_conversation(milestoneId="m1"))["conversationId"]
        join, mark = "join_conversation", "mark_as_read"
    else:
        conversation = await a_group(speaker, ben.id)
        join, mark = "joinRoom", "markConversationAsRead"
    await speaker.call_ok(join, {"conversationId": conversation})
    hook = await Hook.mount(program, request.param, ben, users.url, protocol, conversation, speaker)
    await hook.wait_for_state(isConnected=True)
    # Events of one socket are handled in order: after this acknowledgement the hook's own are done too.
    await hook.socket.call_ok(mark, {"conversationId": conversation})
    yield Talk(program, restored_stack, conversation, speaker, hook)
    await hook.unmount()


@pytest.mark.parametrize("how", ["drop", "drain", "kill"])
async def test_a_hook_shows_missed_and_new_messages_after_a_lost_socket(how: str, talk: Talk) -> None:
    await talk.send("one", "two")
    await talk.shows("one", "two")

    await talk.lose_socket(how)
    await talk.send("three", "four")
    await talk.has_reconnected()
    await talk.send("five")

    await talk.shows("one", "two", "three", "four", "five")


@pytest.mark.parametrize("how", ["drop", "kill"])
async def test_a_hook_without_an_offset_shows_all_messages_since_it_joined(how: str, talk: Talk) -> None:
    await talk.lose_socket(how)
    await talk.send("one")
    await talk.has_reconnected()
    await talk.send("two")

    await talk.shows("one", "two")


async def test_a_hook_goes_on_however_often_its_socket_is_lost(talk: Talk) -> None:
    sent = []
    for turn in range(4):
        sent += [f"before {turn}", f"while away {turn}"]
        await talk.send(sent[-2])
        await talk.shows(*sent[:-1])
        await talk.lose_socket("drop")
        await talk.send(sent[-1])
        await talk.has_reconnected()
        await talk.shows(*sent)


async def test_a_client_that_polls_goes_on_too(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice = await program.connect(ann, users.url, GROUPS)
    group = await a_group(alice, ben.id)
    bob = await program.connect(ben, users.url, GROUPS, ["polling"])
    await bob.call_ok("joinRoom", {"conversationId": group})
    await alice.call_ok("sendMessage", {"conversationId": group, "content": "one"})
    await bob.wait_for("newMessage")

    await program.command("drop", bob.name)
    await bob.wait_for("disconnect")
    await alice.call_ok("sendMessage", {"conversationId": group, "content": "two"})
    await bob.wait_for("connect", 2)
    await alice.call_ok("sendMessage", {"conversationId": group, "content": "three"})
    await bob.wait_for("newMessage", 3)

    assert bob.contents() == ["one", "two", "three"]


async def a_group(owner: JsSocket, *others: str) -> str:
    group: dict[str, Any] = {"type": "group", "name": "Plans", "participants": list(others)}
    answer = await owner.call_ok("createConversation", group)
    conversation_id: str = answer["conversation"]["_id"]
    return conversation_id
