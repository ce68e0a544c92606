"""The simulated cluster: workers, nodes, clients, and the queues between them."""

import itertools
import uuid
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fakes.memory_bus import InMemoryPubSub
from fakes.memory_queue import Partition
from fakes.memory_store import Tables
from model.client import Client, CommandRefused, ConnectionLost, LiveOnlyClient, SyncingClient
from model.clock import ClockLoop
from model.node import Node
from model.worker import Worker
from parley.gateway.core import commands as c
from parley.gateway.core.errors import ChatError
from parley.shared.events import Event
from parley.shared.model import Conversation, Membership, Message, Person, now

USERS = ("ann", "bob", "cem", "dan")
ROOMS = {"first": ("ann", "bob", "cem"), "second": ("bob", "ann")}
"""The first members of each conversation, its owner first."""
MAX_ROUNDS = 12


@dataclass
class Send:
    """A message of a client; `accepted` once its acknowledgement came."""

    user: str
    payload: dict[str, Any]
    accepted: bool = False

    @property
    def has_client_id(self) -> bool:
        return self.payload["clientMessageId"] is not None


class Cluster:
    """The whole simulation, which stands still between two steps."""

    def __init__(self) -> None:
        self.loop = ClockLoop()
        self.names: Iterator[uuid.UUID] = (uuid.UUID(int=n, version=4) for n in itertools.count(1))
        self.tables = Tables()
        self.partition = Partition()
        self.pubsub = InMemoryPubSub()
        self.announced: list[Event] = []
        self.sends: list[Send] = []
        self.outsiders: set[tuple[str, str]] = set()
        """The (conversation, user) pairs that were outside at some time."""

    def start(self) -> None:
        """Start with two conversations, two workers, two nodes and no connected client."""
        for conversation_id, members in ROOMS.items():
            self._create_conversation(conversation_id, members)
        self.workers = [Worker(self.tables, self.partition, self.pubsub, self.announced) for _ in range(2)]
        self.nodes = [self._node(n) for n in range(2)]
        self.clients: list[Client] = [SyncingClient(user, user) for user in USERS]
        self.clients += [
            SyncingClient("bob-too", "bob"),
            *(LiveOnlyClient(f"{u}-old", u, self.heads) for u in USERS[1:]),
        ]

    def _create_conversation(self, conversation_id: str, members: tuple[str, ...]) -> None:
        at = now()
        self.tables.conversations[conversation_id] = Conversation(
            id=conversation_id, kind="group", created_by=members[0], created_at=at
        )
        for user in members:
            self.tables.memberships[conversation_id, user] = Membership(
                conversation_id=conversation_id,
                user_id=user,
                role="owner" if user == members[0] else "member",
                joined_at=at,
            )
        self.outsiders |= {(conversation_id, user) for user in USERS if user not in members}

    def _node(self, number: int) -> Node:
        return Node(f"g{number}", self.tables, self.partition, self.pubsub, self.outsiders)

    def heads(self) -> dict[str, int]:
        """Return the last stored number of each conversation."""
        return {i: len(self.tables.of_conversation(i)) for i in self.tables.conversations}

    def member(self, conversation_id: str, user: str) -> Membership | None:
        """Return the user's membership of a conversation, None outside."""
        membership = self.tables.memberships.get((conversation_id, user))
        return membership if membership and membership.left_at is None else None

    def connected(self, conversation_id: str | None = None) -> list[Client]:
        """Return the connected clients: all, or those of a conversation's members."""
        connected = [client for client in self.clients if client.node is not None]
        return [x for x in connected if conversation_id is None or self.member(conversation_id, x.user)]

    def disconnected(self) -> list[Client]:
        """Return the clients without a connection."""
        return [client for client in self.clients if client.node is None]

    def admins(self, conversation_id: str) -> list[str]:
        """Return the users who may add and remove members."""
        members = {user: self.member(conversation_id, user) for user in USERS}
        return [user for user, m in members.items() if m is not None and m.role != "member"]

    def latest(self) -> list[Message]:
        """Return the stored messages, the last first."""
        return list(self.tables.messages.values())[::-1]

    # Actions of clients.

    def compose(self, client: Client, conversation_id: str, *, named: bool) -> Send:
        """Create a new message."""
        payload = {
            "conversationId": conversation_id,
            "content": f"m{len(self.sends)}",
            "clientMessageId": str(next(self.names)) if named else None,
        }
        self.sends.append(Send(client.user, payload))
        return self.sends[-1]

    def send(self, client: Client, send: Send) -> None:
        """Send a message, also again."""
        client.spawn(self._accepted(send, client.call("sendMessage", send.payload)))

    async def _accepted(self, send: Send, answer: Awaitable[Any]) -> None:
        try:
            await answer
        except (ConnectionLost, CommandRefused):
            return
        send.accepted = True

    def command(self, node: Node, user: str, command: c.Command) -> None:
        """Run a command as REST does."""
        node.background.spawn(_await_result(node.command_bus.handle(Person(id=user, name=user), command)))

    # Faults of machines.

    def kill(self, number: int) -> None:
        """Kill a node and replace it."""
        node = self.nodes[number]
        for client in self.clients:
            if client.node is node:
                self.loop.act(client.lose)
        self.loop.finish(node.stop())
        self.nodes[number] = self._node(number)

    def lose_redis(self) -> None:
        """Restart Redis: pending events are lost, and every node restores them from the archive."""
        for node in self.nodes:
            node.bus.waiting.clear()
            node.background.spawn(_await_result(node.live.reconciler.resynchronize()))

    def audit(self, node: Node) -> None:
        """Let a node compare its state with the stored one."""
        node.background.spawn(_await_result(node.audit()))

    def settle(self) -> None:
        """Let everything go on without faults until nothing is left to do."""
        for injector in [part.injector for part in self.workers] + [part.injector for part in self.nodes]:
            injector.release()
        self.loop.rest(1)
        for _ in range(MAX_ROUNDS):
            self._advance()
            if not self._has_work():
                break
        else:
            raise AssertionError("it does not come to rest")
        self._advance()

    def _has_work(self) -> bool:
        waits = any(node.bus.waiting for node in self.nodes)
        behind = any(isinstance(x, SyncingClient) and x.ready and not x.caught_up for x in self.clients)
        return bool(self.partition.deliveries) or waits or behind

    def _advance(self) -> None:
        self.loop.act(lambda: self.workers[0].take_batch(100), 1)
        for node in self.nodes:
            self.loop.act(partial(self.deliver, node, len(node.bus.waiting)))
            self.loop.act(partial(self.audit, node), 1)
        for client in self.clients:
            self.loop.act(client.read)
        self.loop.act(self._catch_up, 1)
        for node in self.nodes:
            self.loop.act(node.delivery.unread_counts.broadcast_changed)

    def _catch_up(self) -> None:
        for client in self.clients:
            if isinstance(client, SyncingClient) and client.ready and not client.caught_up:
                client.start_catch_up()

    def deliver(self, node: Node, count: int) -> None:
        """Deliver pending events to a node."""
        for _ in range(min(count, len(node.bus.waiting))):
            node.deliver_from_bus(*node.bus.waiting.popleft())

    def stop(self) -> None:
        """Stop everything."""
        for client in self.clients:
            self.loop.act(client.lose)
        for node in self.nodes:
            self.loop.finish(node.stop())
        self.loop.end()


async def _await_result(work: Awaitable[Any]) -> None:
    """Await work; a refusal is a valid result."""
    try:
        await work
    except (ChatError, ConnectionError):
        return
