"""All of Parley driven at random: after any faults, all invariants hold at rest."""

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
from parley.gateway.core.positions import Revision
from parley.gateway.services.epochs import Epochs
from parley.shared.model import Conversation

T = TypeVar("T")

CLIENTS = st.integers(0, 7)
NODES = st.integers(0, 1)
WORKERS = st.integers(0, 1)
CONVERSATIONS = st.sampled_from(list(ROOMS))
MESSAGES = st.integers(0, 30)
STEPS = st.integers(0, 20)
FAULTS = st.sampled_from(["fail", "stall"])


CONTINUES = Epochs.continues


class ChatMachine(RuleBasedStateMachine):
    """The rules are actions of users, steps of the system, and faults."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.errors: list[str] = []
        self.cluster.loop.set_exception_handler(lambda _, context: self.errors.append(repr(context)))
        self._patches = ExitStack()

        async def continues(
            epochs: Epochs, conversation_id: str, held: Revision, head: Conversation | None = None
        ) -> bool:
            # Nothing restores the database here, so there is no other history.
            if not await CONTINUES(epochs, conversation_id, held, head):
                self.errors.append(f"{held} seems to be of another history of {conversation_id}")
            return True

        for target, value in (
            ("parley.shared.model.urandom", lambda _size: next(self.cluster.names).bytes),
            ("parley.shared.model.datetime", self.cluster.loop),
            ("parley.gateway.services.history.MAX_CHANGES", 6),
            ("parley.gateway.live.streams.PAGE", 3),
            ("parley.gateway.live.user_loader.PART", 1),
            ("parley.persistence_worker.changes.REMEMBERED_CHANGES", 2),
            ("parley.gateway.services.epochs.Epochs.continues", continues),
        ):
            self._patches.enter_context(patch(target, value))
        self._before = structlog.get_config()
        structlog.configure(processors=[self._note])

    def _note(self, _logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        away = isinstance(entry.get("exc_info"), Unavailable)
        if method in ("error", "exception", "critical") and not away:
            self.errors.append(repr(entry))
        raise structlog.DropEvent

    def teardown(self) -> None:
        try:
            self._check_at_rest()
            self._reconnect_all()
            self._check_at_rest()
        finally:
            self.cluster.stop()
            self._patches.close()
            structlog.configure(**self._before)

    def _do(self, action: Callable[..., object], *args: object) -> None:
        self.cluster.loop.act(lambda: action(*args))

    def _one(self, number: int, among: Sequence[T]) -> T | None:
        return among[number % len(among)] if among else None

    def _connect(self, client: Client | None, where: int) -> None:
        if client is not None:
            self._do(client.connect, self.cluster.nodes[where])

    def _reconnect_all(self) -> None:
        """Connect every client again."""
        for number, client in enumerate(self.cluster.clients):
            if client.node is None:
                self._do(client.connect, self.cluster.nodes[number % 2])

    def _check_at_rest(self) -> None:
        self.cluster.settle()
        check(self.cluster)
        assert not self.errors, self.errors

    @initialize(sent=st.integers(0, 4))
    def start(self, sent: int) -> None:
        self.cluster.start()
        for number, client in enumerate(self.cluster.clients[:6]):
            self._do(client.connect, self.cluster.nodes[number % 2])
        if sent:
            self.send(number=0, where="first", named=True, times=sent)
            self._do(self.cluster.workers[0].take_batch, sent)

    # Actions of users.

    @rule(number=CLIENTS, where=NODES)
    def connect(self, number: int, where: int) -> None:
        self._connect(self._one(number, self.cluster.disconnected()), where)

    @rule(number=CLIENTS, where=NODES)
    def disconnect(self, number: int, where: int) -> None:
        client = self._one(number, self.cluster.connected())
        if client is not None:
            self._do(client.disconnect)

    @rule(number=CLIENTS, where=NODES)
    def reconnect(self, number: int, where: int) -> None:
        client = self._one(number, self.cluster.connected())
        if client is not None:
            self._do(client.disconnect)
            self._connect(client, where)

    @rule(number=CLIENTS, where=CONVERSATIONS, named=st.booleans(), times=st.integers(1, 3))
    def send(self, number: int, where: str, named: bool, times: int) -> None:
        client = self._one(number, self.cluster.connected(where))
        for _ in range(times):
            if client is not None:
                sent = self.cluster.compose(client, where, named=named)
                self.cluster.loop.call_soon(self.cluster.send, client, sent)
        self.cluster.loop.rest()

    send_more = send

    @rule(number=CLIENTS, message_number=MESSAGES)
    def send_again(self, number: int, message_number: int) -> None:
        send = self._one(message_number, [s for s in self.cluster.sends if s.has_client_id])
        client = self._one(number, [x for x in self.cluster.connected() if send and x.user == send.user])
        if client is not None:
            self._do(self.cluster.send, client, send)

    @rule(number=CLIENTS, message_number=MESSAGES)
    def edit(self, number: int, message_number: int) -> None:
        message = self._one(message_number, self.cluster.latest())
        client = self._one(
            number, [x for x in self.cluster.connected() if message and x.user == message.sender_id]
        )
        if message is not None and client is not None:
            content = f"e{len(self.cluster.partition.log)}"
            self._do(client.call, "editMessage", {"messageId": message.id, "content": content})

    edit_more = edit

    @rule(number=CLIENTS, message_number=MESSAGES)
    def delete(self, number: int, message_number: int) -> None:
        message = self._one(message_number, self.cluster.latest())
        client = self._one(number, self.cluster.connected())
        if message is not None and client is not None:
            self._do(client.call, "deleteMessage", {"messageId": message.id})

    @rule(number=CLIENTS, message_number=MESSAGES)
    def read(self, number: int, message_number: int) -> None:
        message = self._one(message_number, self.cluster.latest())
        client = self._one(number, self.cluster.connected())
        if message is not None and client is not None:
            self._do(client.call, "markAsRead", {"messageId": message.id})

    @rule(number=CLIENTS, where=CONVERSATIONS)
    def read_all(self, number: int, where: str) -> None:
        client = self._one(number, [x for x in self.cluster.connected(where) if isinstance(x, SyncingClient)])
        if client is not None:
            self._do(client.call, "markConversationAsRead", {"conversationId": where})

    @rule(node=NODES, by=CLIENTS, where=CONVERSATIONS, number=CLIENTS)
    def add(self, node: int, by: int, where: str, number: int) -> None:
        admin = self._one(by, self.cluster.admins(where))
        added = self._one(number, [u for u in USERS if not self.cluster.member(where, u)])
        if admin is not None and added is not None:
            command = c.AddParticipants(conversation_id=where, participants=(added,))
            self._do(self.cluster.command, self.cluster.nodes[node], admin, command)

    @rule(node=NODES, by=CLIENTS, where=CONVERSATIONS, number=CLIENTS)
    def remove(self, node: int, by: int, where: str, number: int) -> None:
        admin = self._one(by, self.cluster.admins(where))
        member = self._one(number, [u for u in USERS if self.cluster.member(where, u)])
        if admin is not None and member is not None:
            command = c.RemoveParticipant(conversation_id=where, user_id=member)
            self._do(self.cluster.command, self.cluster.nodes[node], admin, command)

    @rule(node=NODES, where=CONVERSATIONS, number=CLIENTS)
    def leave(self, node: int, where: str, number: int) -> None:
        member = self._one(number, [u for u in USERS if self.cluster.member(where, u)])
        if member is not None:
            command = c.LeaveConversation(conversation_id=where)
            self._do(self.cluster.command, self.cluster.nodes[node], member, command)

    # Steps of the system.

    @rule(number=WORKERS, size=st.integers(1, 6))
    def work(self, number: int, size: int) -> None:
        self._do(self.cluster.workers[number].take_batch, size)

    work_more = work

    @rule(node=NODES, count=st.integers(1, 6))
    def deliver(self, node: int, count: int) -> None:
        self._do(self.cluster.deliver, self.cluster.nodes[node], count)

    deliver_more = deliver

    @rule(number=CLIENTS)
    def read_wire(self, number: int) -> None:
        client = self._one(number, [x for x in self.cluster.clients if x.lagging])
        if client is not None:
            self._do(client.read)

    @rule(node=NODES)
    def count(self, node: int) -> None:
        self._do(self.cluster.nodes[node].delivery.unread_counts.broadcast_changed)

    @rule(node=NODES)
    def audit(self, node: int) -> None:
        self._do(self.cluster.audit, self.cluster.nodes[node])

    @rule(seconds=st.sampled_from([1, 20]))
    def wait(self, seconds: int) -> None:
        self.cluster.loop.rest(seconds)

    @rule()
    def settle(self) -> None:
        self._check_at_rest()

    # Faults.

    @rule(number=WORKERS, steps=st.integers(0, 40), fault=FAULTS)
    def fault_worker(self, number: int, steps: int, fault: Fault) -> None:
        self.cluster.workers[number].injector.arm(steps, fault)

    @rule(number=WORKERS, steps=st.integers(0, 30), size=st.integers(1, 4))
    def overtake(self, number: int, steps: int, size: int) -> None:
        """Freeze a worker in the middle of a batch, while the other takes its partition."""
        self.cluster.workers[number].injector.arm(steps, "stall")
        self._do(self.cluster.workers[number].take_batch, size)
        self._do(self.cluster.workers[1 - number].take_batch, size)

    @rule(number=CLIENTS, where=NODES, count=st.integers(0, 4))
    def interrupt(self, number: int, where: int, count: int) -> None:
        """Break a connection in the middle of the node's events; the client reconnects."""
        client = self._one(number, self.cluster.connected())
        if client is not None and client.node is not None:
            client.lagging = True
            self._do(self.cluster.deliver, client.node, len(client.node.bus.waiting))
            self._do(client.read_some, count)
            self._do(client.disconnect)
            self._connect(client, where)

    @rule(message_number=MESSAGES, steps=st.integers(6, 30), fault=FAULTS, size=st.integers(1, 4))
    def overtake_edits(self, message_number: int, steps: int, fault: Fault, size: int) -> None:
        """Crash or freeze a worker at more edits than a message names; another gets them in other batches."""
        for _ in range(5):
            self.edit(number=0, message_number=message_number)
        self.send(number=message_number, where="first", named=True, times=1)
        first, other = self.cluster.workers
        first.injector.arm(steps, fault)
        self._do(first.take_batch, 100)
        self._do(other.take_batch, size)
        self._do(other.take_batch, size)

    @rule(number=WORKERS)
    def release_worker(self, number: int) -> None:
        self._do(self.cluster.workers[number].injector.release)

    @rule(node=NODES, steps=STEPS, fault=FAULTS)
    def fault_archive(self, node: int, steps: int, fault: Fault) -> None:
        self.cluster.nodes[node].injector.arm(steps, fault)

    @rule(node=NODES)
    def release_archive(self, node: int) -> None:
        self._do(self.cluster.nodes[node].injector.release)

    @rule(node=NODES, outcome=st.sampled_from(["refused", "unconfirmed"]))
    def fault_broker(self, node: int, outcome: Outcome) -> None:
        self.cluster.nodes[node].outbox.next_outcome = outcome

    @rule(node=NODES, at=st.integers(0, 5), action=st.sampled_from(["lose", "repeat", "later"]))
    def disturb(self, node: int, at: int, action: str) -> None:
        """Lose, repeat or delay a pending event."""
        waiting = self.cluster.nodes[node].bus.waiting
        if at >= len(waiting):
            return
        if action == "repeat":
            waiting.append(waiting[at])
            return
        taken = waiting[at]
        del waiting[at]
        if action == "later":
            waiting.append(taken)

    @rule(node=NODES)
    def lose_events(self, node: int) -> None:
        """Lose all pending events of a node."""
        self.cluster.nodes[node].bus.waiting.clear()

    @rule(number=CLIENTS)
    def delay_client(self, number: int) -> None:
        client = self._one(number, self.cluster.connected())
        if client is not None:
            client.lagging = True

    @rule(number=NODES)
    def kill(self, number: int) -> None:
        self.cluster.kill(number)

    @rule()
    def lose_redis(self) -> None:
        self._do(self.cluster.lose_redis)


TestChat = ChatMachine.TestCase
TestChat.settings = settings.get_profile("long" if settings.get_current_profile_name() == "long" else "short")
