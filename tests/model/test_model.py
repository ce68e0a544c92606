"""The whole of Parley, played at random: whatever fails in between, all is well at rest."""

from collections.abc import Callable, MutableMapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar
from unittest.mock import patch

import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from fakes.memory_queue import Outcome
from model.checks import check
from model.client import Client, SyncingClient
from model.cluster import ROOMS, USERS, Cluster
from model.fault_injector import Fault
from parley.gateway.core import commands as c
from parley.gateway.core.errors import Unavailable

T = TypeVar("T")

WHO = st.integers(0, 7)
NODES = st.integers(0, 1)
WORKERS = st.integers(0, 1)
CONVERSATIONS = st.sampled_from(list(ROOMS))
WHICH = st.integers(0, 30)
MOMENTS = st.integers(0, 20)
DOES = st.sampled_from(["fail", "stall"])


class ChatMachine(RuleBasedStateMachine):
    """Rules are what people do, what goes on by itself, and what goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.faults: list[str] = []
        self.cluster.loop.set_exception_handler(lambda _, context: self.faults.append(repr(context)))
        self._patches = ExitStack()
        for target, value in (
            ("parley.shared.model.uuid4", lambda: next(self.cluster.names)),
            ("parley.shared.model.datetime", self.cluster.loop),
            ("parley.gateway.services.history.MAX_CHANGES", 6),
            ("parley.gateway.live.streams.PAGE", 3),
        ):
            self._patches.enter_context(patch(target, value))
        self._before = structlog.get_config()
        structlog.configure(processors=[self._note])

    def _note(self, _logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        away = isinstance(entry.get("exc_info"), Unavailable)
        if method in ("error", "exception", "critical") and not away:
            self.faults.append(repr(entry))
        raise structlog.DropEvent

    def teardown(self) -> None:
        try:
            self._all_is_well()
            self._return()
            self._all_is_well()
        finally:
            self.cluster.stop()
            self._patches.close()
            structlog.configure(**self._before)

    def _do(self, what: Callable[..., object], *args: object) -> None:
        self.cluster.loop.act(lambda: what(*args))

    def _one(self, which: int, among: Sequence[T]) -> T | None:
        return among[which % len(among)] if among else None

    def _connect(self, client: Client | None, where: int) -> None:
        if client is not None:
            self._do(client.connect, self.cluster.nodes[where])

    def _return(self) -> None:
        """Everybody comes back."""
        for number, client in enumerate(self.cluster.clients):
            if client.node is None:
                self._do(client.connect, self.cluster.nodes[number % 2])

    def _all_is_well(self) -> None:
        self.cluster.settle()
        check(self.cluster)
        assert not self.faults, self.faults

    @initialize(said=st.integers(0, 4))
    def found(self, said: int) -> None:
        self.cluster.start()
        for number, client in enumerate(self.cluster.clients[:6]):
            self._do(client.connect, self.cluster.nodes[number % 2])
        if said:
            self.send(who=0, where="first", named=True, times=said)
            self._do(self.cluster.workers[0].take_batch, said)

    # What people do.

    @rule(who=WHO, where=NODES)
    def connect(self, who: int, where: int) -> None:
        self._connect(self._one(who, self.cluster.disconnected()), where)

    @rule(who=WHO, where=NODES)
    def disconnect(self, who: int, where: int) -> None:
        client = self._one(who, self.cluster.connected())
        if client is not None:
            self._do(client.disconnect)

    @rule(who=WHO, where=NODES)
    def reconnect(self, who: int, where: int) -> None:
        client = self._one(who, self.cluster.connected())
        if client is not None:
            self._do(client.disconnect)
            self._connect(client, where)

    @rule(who=WHO, where=CONVERSATIONS, named=st.booleans(), times=st.integers(1, 3))
    def send(self, who: int, where: str, named: bool, times: int) -> None:
        client = self._one(who, self.cluster.connected(where))
        for _ in range(times):
            if client is not None:
                said = self.cluster.compose(client, where, named=named)
                self.cluster.loop.call_soon(self.cluster.send, client, said)
        self.cluster.loop.rest()

    send_more = send

    @rule(who=WHO, which=WHICH)
    def send_again(self, who: int, which: int) -> None:
        send = self._one(which, [s for s in self.cluster.sends if s.has_client_id])
        client = self._one(who, [x for x in self.cluster.connected() if send and x.user == send.user])
        if client is not None:
            self._do(self.cluster.send, client, send)

    @rule(who=WHO, which=WHICH)
    def edit(self, who: int, which: int) -> None:
        message = self._one(which, self.cluster.latest())
        client = self._one(
            who, [x for x in self.cluster.connected() if message and x.user == message.sender_id]
        )
        if message is not None and client is not None:
            content = f"e{len(self.cluster.partition.log)}"
            self._do(client.call, "editMessage", {"messageId": message.id, "content": content})

    edit_more = edit

    @rule(who=WHO, which=WHICH)
    def delete(self, who: int, which: int) -> None:
        message = self._one(which, self.cluster.latest())
        client = self._one(who, self.cluster.connected())
        if message is not None and client is not None:
            self._do(client.call, "deleteMessage", {"messageId": message.id})

    @rule(who=WHO, which=WHICH)
    def read(self, who: int, which: int) -> None:
        message = self._one(which, self.cluster.latest())
        client = self._one(who, self.cluster.connected())
        if message is not None and client is not None:
            self._do(client.call, "markAsRead", {"messageId": message.id})

    @rule(who=WHO, where=CONVERSATIONS)
    def read_all(self, who: int, where: str) -> None:
        client = self._one(who, [x for x in self.cluster.connected(where) if isinstance(x, SyncingClient)])
        if client is not None:
            self._do(client.call, "markConversationAsRead", {"conversationId": where})

    @rule(node=NODES, by=WHO, where=CONVERSATIONS, who=WHO)
    def add(self, node: int, by: int, where: str, who: int) -> None:
        admin = self._one(by, self.cluster.admins(where))
        newcomer = self._one(who, [u for u in USERS if not self.cluster.member(where, u)])
        if admin is not None and newcomer is not None:
            command = c.AddParticipants(conversation_id=where, participants=(newcomer,))
            self._do(self.cluster.command, self.cluster.nodes[node], admin, command)

    @rule(node=NODES, by=WHO, where=CONVERSATIONS, who=WHO)
    def remove(self, node: int, by: int, where: str, who: int) -> None:
        admin = self._one(by, self.cluster.admins(where))
        member = self._one(who, [u for u in USERS if self.cluster.member(where, u)])
        if admin is not None and member is not None:
            command = c.RemoveParticipant(conversation_id=where, user_id=member)
            self._do(self.cluster.command, self.cluster.nodes[node], admin, command)

    @rule(node=NODES, where=CONVERSATIONS, who=WHO)
    def leave(self, node: int, where: str, who: int) -> None:
        member = self._one(who, [u for u in USERS if self.cluster.member(where, u)])
        if member is not None:
            command = c.LeaveConversation(conversation_id=where)
            self._do(self.cluster.command, self.cluster.nodes[node], member, command)

    # What goes on by itself.

    @rule(who=WORKERS, size=st.integers(1, 6))
    def work(self, who: int, size: int) -> None:
        self._do(self.cluster.workers[who].take_batch, size)

    work_more = work

    @rule(node=NODES, count=st.integers(1, 6))
    def hear(self, node: int, count: int) -> None:
        self._do(self.cluster.deliver, self.cluster.nodes[node], count)

    hear_more = hear

    @rule(who=WHO)
    def read_wire(self, who: int) -> None:
        client = self._one(who, [x for x in self.cluster.clients if x.lagging])
        if client is not None:
            self._do(client.read)

    @rule(node=NODES)
    def count(self, node: int) -> None:
        self._do(self.cluster.nodes[node].live.unread_counts.broadcast_changed)

    @rule(node=NODES)
    def audit(self, node: int) -> None:
        self._do(self.cluster.audit, self.cluster.nodes[node])

    @rule(seconds=st.sampled_from([1, 20]))
    def wait(self, seconds: int) -> None:
        self.cluster.loop.rest(seconds)

    @rule()
    def settle(self) -> None:
        self._all_is_well()

    # What goes wrong.

    @rule(who=WORKERS, moments=st.integers(0, 40), does=DOES)
    def trap_worker(self, who: int, moments: int, does: Fault) -> None:
        self.cluster.workers[who].injector.arm(moments, does)

    @rule(who=WORKERS, moments=st.integers(0, 30), size=st.integers(1, 4))
    def overtake(self, who: int, moments: int, size: int) -> None:
        """A worker freezes in the middle of a batch, and another takes its place."""
        self.cluster.workers[who].injector.arm(moments, "stall")
        self._do(self.cluster.workers[who].take_batch, size)
        self._do(self.cluster.workers[1 - who].take_batch, size)

    @rule(who=WHO, where=NODES, count=st.integers(0, 4))
    def interrupt(self, who: int, where: int, count: int) -> None:
        """A connection breaks in the middle of what the node has to tell; the client comes back."""
        client = self._one(who, self.cluster.connected())
        if client is not None and client.node is not None:
            client.lagging = True
            self._do(self.cluster.deliver, client.node, len(client.node.bus.waiting))
            self._do(client.read_some, count)
            self._do(client.disconnect)
            self._connect(client, where)

    @rule(who=WORKERS)
    def thaw_worker(self, who: int) -> None:
        self._do(self.cluster.workers[who].injector.release)

    @rule(node=NODES, moments=MOMENTS, does=DOES)
    def trap_archive(self, node: int, moments: int, does: Fault) -> None:
        self.cluster.nodes[node].injector.arm(moments, does)

    @rule(node=NODES)
    def thaw_archive(self, node: int) -> None:
        self._do(self.cluster.nodes[node].injector.release)

    @rule(node=NODES, outcome=st.sampled_from(["refused", "unconfirmed"]))
    def trap_broker(self, node: int, outcome: Outcome) -> None:
        self.cluster.nodes[node].outbox.next_outcome = outcome

    @rule(node=NODES, at=st.integers(0, 5), what=st.sampled_from(["lose", "repeat", "later"]))
    def disturb(self, node: int, at: int, what: str) -> None:
        """What is on its way is lost, comes twice, or after what was said later."""
        waiting = self.cluster.nodes[node].bus.waiting
        if at >= len(waiting):
            return
        if what == "repeat":
            waiting.append(waiting[at])
            return
        taken = waiting[at]
        del waiting[at]
        if what == "later":
            waiting.append(taken)

    @rule(node=NODES)
    def miss(self, node: int) -> None:
        """All that is on its way to a node is lost."""
        self.cluster.nodes[node].bus.waiting.clear()

    @rule(who=WHO)
    def lag(self, who: int) -> None:
        client = self._one(who, self.cluster.connected())
        if client is not None:
            client.lagging = True

    @rule(number=NODES)
    def kill(self, number: int) -> None:
        self.cluster.kill(number)

    @rule()
    def forget(self) -> None:
        self._do(self.cluster.lose_redis)


TestChat = ChatMachine.TestCase
TestChat.settings = settings.get_profile("long" if settings.get_current_profile_name() == "long" else "short")
