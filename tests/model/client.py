"""Model clients: one that syncs by revisions, and one that displays live events only."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple

from model.node import CONNECTED, REFUSED, Node
from parley.gateway.core import commands as c
from parley.gateway.core.errors import ChatError, NotFound
from parley.gateway.core.positions import Revision
from parley.shared.model import Message, Person

PAGE = 3


class Shown(NamedTuple):
    """A message as a client displays it."""

    seq: int
    rev: int
    content: str
    deleted: bool

    @classmethod
    def stored(cls, message: Message) -> "Shown":
        return cls(message.seq, message.rev, message.content, message.deleted_at is not None)

    @classmethod
    def received(cls, payload: dict[str, Any]) -> "Shown":
        return cls(payload["seq"], payload["rev"], payload["content"], "deletedAt" in payload)


class ConnectionLost(Exception):
    """The socket was lost before the acknowledgement."""


class CommandRefused(Exception):
    """The acknowledgement is a refusal."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.code = error["code"]


class Client:
    """A socket and its client; while it is `lagging`, data waits on the wire."""

    namespace: str

    def __init__(self, name: str, user: str) -> None:
        self.name, self.user = name, user
        self.node: Node | None = None
        self.ready = False
        self.lagging = False
        self._sid = ""
        self._wire: deque[Callable[[], None]] = deque()
        self._pending: set[asyncio.Future[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets = 0
        self.violations: list[str] = []
        """Events that the client should not have received."""

    def connect(self, node: Node) -> None:
        """Open a socket to a node."""
        self._sockets += 1
        self.node, self._sid = node, f"{node.name}.{self.name}-{self._sockets}"
        node.connect(self._sid, self.user, self.namespace, partial(self._write, self._sid))

    def disconnect(self) -> None:
        """Close the socket; data on the wire is lost."""
        node, sid = self.node, self._sid
        self.lose()
        if node is not None:
            node.disconnect(sid, self.namespace)

    def lose(self) -> None:
        """Lose the socket."""
        self.node, self._sid, self.ready, self.lagging = None, "", False, False
        self._wire.clear()
        for asked in self._pending:
            if not asked.done():
                asked.set_exception(ConnectionLost())
        for task in self._tasks:
            task.cancel()
        self.on_lost()

    def read_some(self, count: int) -> None:
        """Read this many entries from the wire."""
        for _ in range(min(count, len(self._wire))):
            self._wire.popleft()()

    def read(self) -> None:
        """Read all entries from the wire."""
        self.lagging = False
        while self._wire and not self.lagging:
            self._wire.popleft()()

    def call(
        self, event: str, payload: Any, then: Callable[[Any], None] = lambda _: None
    ) -> "asyncio.Future[Any]":
        """Emit an event; `then` handles the acknowledgement before anything else is read.

        Returns:
            A future of the acknowledgement, or of `ConnectionLost` or `CommandRefused`.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self.node is None or not self.ready:
            future.set_exception(ConnectionLost())
            return future
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        sid = self._sid

        def answered(answer: Any) -> None:
            self._queue_entry(sid, lambda: self._resolve(future, answer, then))

        self.node.handle(sid, event, payload, answered)
        return future

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task until the socket is lost."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_connected(self) -> None:
        """Handle the established connection."""

    def on_lost(self) -> None:
        """Handle the loss of the socket."""

    def on_event(self, event: str, payload: Any) -> None:
        """Handle an event."""

    def _resolve(self, future: "asyncio.Future[Any]", answer: Any, then: Callable[[Any], None]) -> None:
        if future.done():
            return
        if answer is None or not answer["success"]:
            future.set_exception(CommandRefused(answer["error"]) if answer else ConnectionLost())
        else:
            then(answer)
            future.set_result(answer)

    def _write(self, sid: str, data: Any) -> None:
        if data == CONNECTED:
            self.on_admitted(sid)
            self._queue_entry(sid, self._now_ready)
        elif data == REFUSED:
            self._queue_entry(sid, self.lose)
        else:
            self._queue_entry(sid, lambda: self.on_event(*data))

    def on_admitted(self, sid: str) -> None:
        """Handle the moment at which the node admits the socket."""

    def _now_ready(self) -> None:
        self.ready = True
        self.on_connected()

    def _queue_entry(self, sid: str, entry: Callable[[], None]) -> None:
        if sid == self._sid:
            self._wire.append(entry)
            if not self.lagging:
                self.read()


NOTHING = Revision(0, 0)


def _revision(payload: dict[str, Any]) -> Revision:
    return Revision(payload["rev"], payload.get("epoch", 0))


@dataclass
class Held:
    """A client's copy of a conversation; `last_live_seq` is the last number that was received live."""

    messages: dict[str, Shown] = field(default_factory=dict)
    at: Revision = NOTHING
    ahead: Revision = NOTHING
    joined: bool = False
    synced: bool = False
    loaded: bool = False
    last_live_seq: int | None = None

    def place(self, message_id: str, shown: Shown) -> None:
        """Keep each message once, in its newest revision."""
        known = self.messages.get(message_id)
        if known is None or shown.rev >= known.rev:
            self.messages[message_id] = shown

    @property
    def rev(self) -> int:
        return self.at.rev

    def advance(self, live: Revision) -> None:
        """Note the revision of a live change."""
        if self.synced:
            self.at = max(self.at, live, key=lambda each: each.rev)
        else:
            self.ahead = max(self.ahead, live, key=lambda each: each.rev)

    def caught_up(self, at: Revision) -> None:
        """Note that every change up to a revision is known, besides the live ones."""
        self.at = max(at, self.ahead, key=lambda each: each.rev)
        self.ahead, self.synced = NOTHING, True


class SyncingClient(Client):
    """A client of the groups protocol that follows the README's rules for good clients."""

    namespace = "/chat"

    def __init__(self, name: str, user: str) -> None:
        super().__init__(name, user)
        self.known: dict[str, Held] = {}
        self.unread: dict[str, int] = {}
        self.sent: list[dict[str, Any]] = []
        self.caught_up = False

    def on_connected(self) -> None:
        self.start_catch_up()

    def start_catch_up(self) -> None:
        """Catch up, again if it failed before."""
        self.spawn(self._catch_up())

    def on_lost(self) -> None:
        self.caught_up = False
        self.unread = {}
        for held in self.known.values():
            held.joined, held.synced, held.last_live_seq = False, False, None

    async def _catch_up(self) -> None:
        try:
            page = await self._read(c.ListConversations(limit=50))
            for view in page.items:
                self.known.setdefault(view.conversation.id, Held())
            for conversation_id in list(self.known):
                await self._join(conversation_id)
            await self._sync()
            self.caught_up = all(h.joined and h.synced and h.loaded for h in self.known.values())
        except (ConnectionLost, CommandRefused, ChatError):
            return

    async def _read(self, command: c.Command) -> Any:
        assert self.node is not None
        return await self.node.command_bus.handle(Person(id=self.user, name=self.user), command)

    async def _join(self, conversation_id: str) -> None:
        held = self.known[conversation_id]

        def joined(answer: Any) -> None:
            held.joined, held.last_live_seq = True, answer["seq"]
            if not held.loaded:
                held.synced, held.at, held.ahead = True, _revision(answer), NOTHING

        try:
            await self.call("joinRoom", {"conversationId": conversation_id}, joined)
        except CommandRefused as no:
            if no.code != "NOT_FOUND":
                raise
            self.known.pop(conversation_id, None)
            return
        await self._load(conversation_id)

    async def _load(self, conversation_id: str) -> None:
        held = self.known.get(conversation_id)
        before: int | None = None
        while held is not None and not held.loaded:
            try:
                page = await self._read(
                    c.ListMessages(conversation_id=conversation_id, limit=PAGE, before=before)
                )
            except NotFound:
                return
            for view in page.items:
                held.place(view.message.id, Shown.stored(view.message))
            before = int(page.next_cursor) if page.next_cursor else None
            held.loaded = before is None

    async def _sync(self) -> None:
        stale = {i: held for i, held in self.known.items() if held.joined and not held.synced}
        behind = {i: {"rev": held.at.rev, "epoch": held.at.epoch} for i, held in stale.items()}
        if behind:
            await self.call("sync", {"conversations": behind}, self._synced)
        for conversation_id in list(self.known):
            await self._load(conversation_id)

    def _synced(self, answer: Any) -> None:
        for conversation_id, changes in answer["conversations"].items():
            held = self.known.get(conversation_id)
            if held is None:
                continue
            if "error" in changes:
                del self.known[conversation_id]
                continue
            held.caught_up(_revision(changes))
            if changes.get("tooFar"):
                held.messages, held.loaded = {}, False
            for message in changes.get("messages", ()):
                held.place(message["_id"], Shown.received(message))

    def on_event(self, event: str, payload: Any) -> None:
        take = self._handlers.get(event)
        if take is not None:
            take(self, payload)

    def _new(self, payload: Any) -> None:
        shown = Shown.received(payload["message"])
        held = self.known.get(payload["conversationId"])
        if held is not None and held.last_live_seq is not None:
            if shown.seq != held.last_live_seq + 1:
                self.violations.append(f"{self.name} heard {shown.seq} after {held.last_live_seq}")
            held.last_live_seq = shown.seq
        self._place(payload, payload["message"]["_id"], shown)

    def _updated(self, payload: Any) -> None:
        self._place(payload, payload["message"]["_id"], Shown.received(payload["message"]))

    def _deleted(self, payload: Any) -> None:
        self._place(payload, payload["messageId"], Shown(payload["seq"], payload["rev"], "", True))

    def _place(self, payload: Any, message_id: str, shown: Shown) -> None:
        held = self.known.get(payload["conversationId"])
        if held is None:
            self.violations.append(f"{self.name} heard {shown} of a conversation that it has left")
            return
        held.place(message_id, shown)
        held.advance(_revision(payload.get("message", payload)))

    def _created(self, payload: Any) -> None:
        self._learn_of(payload["_id"])

    def _learn_of(self, conversation_id: str) -> None:
        if not self.known.setdefault(conversation_id, Held()).joined:
            self.caught_up = False
            self.start_catch_up()

    def _removed(self, payload: Any) -> None:
        if payload["userId"] == self.user:
            self.known.pop(payload["conversationId"], None)
            self.unread.pop(payload["conversationId"], None)

    def _counted(self, payload: Any) -> None:
        self.unread[payload["conversationId"]] = payload["unread"]
        if payload["conversationId"] not in self.known:
            self._learn_of(payload["conversationId"])

    def _sent(self, payload: Any) -> None:
        self.sent.append(payload)

    _handlers: ClassVar[dict[str, Callable[["SyncingClient", Any], None]]] = {
        "newMessage": _new,
        "messageUpdated": _updated,
        "messageDeleted": _deleted,
        "conversationCreated": _created,
        "participantRemoved": _removed,
        "unreadCount": _counted,
        "messageSent": _sent,
    }


class LiveOnlyClient(Client):
    """A client that ignores numbers and displays all messages in order of arrival."""

    namespace = "/"

    def __init__(self, name: str, user: str, heads: Callable[[], dict[str, int]]) -> None:
        super().__init__(name, user)
        self._heads = heads
        self.since: dict[str, int] = {}
        """The last stored number of each conversation when the socket was admitted."""
        self.order: defaultdict[str, list[int]] = defaultdict(list)
        self.displayed: dict[str, Shown] = {}

    def on_admitted(self, sid: str) -> None:
        if sid == self._sid:
            self.since = self._heads()

    def on_lost(self) -> None:
        self.order.clear()
        self.displayed = {}

    def on_event(self, event: str, payload: Any) -> None:
        if event == "receiveMessage":
            self._new(payload)
        elif event == "receiveEdit" and payload["id"] in self.displayed:
            self.displayed[payload["id"]] = Shown.received(payload)
        elif event == "receiveDeletion" and payload["messageId"] in self.displayed:
            self.displayed[payload["messageId"]] = Shown(payload["seq"], payload["rev"], "", True)

    def _new(self, payload: Any) -> None:
        order = self.order[payload["conversationId"]]
        if order and payload["seq"] <= order[-1]:
            self.violations.append(f"{self.name} heard {payload['seq']} after {order}")
        order.append(payload["seq"])
        self.displayed[payload["id"]] = Shown.received(payload)
