"""Many members at once: lean sockets that pipeline sends and record what they receive."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from clients.chat import NAMESPACE, ChatUsers, User
from clients.socketio_lean import Disconnected, LeanSocket
from clients.socketio_stock import StockSocket
from clients.stacks import PARTITIONS

V = TypeVar("V", bound="RecordingClient")

RETRY_SECONDS = 0.1
ACK_TIMEOUT = 3.0
"""Seconds that a client waits for an acknowledgement before it tries again."""

SEND_TIMEOUT = 45.0
"""Seconds after which a client gives up on a message, unless it has another limit of its own."""


class RecordingClient:
    """One socket of one user: its accepted messages, and what it received, by conversation."""

    def __init__(self, user: User, url: str, transport: str = "websocket") -> None:
        self.user_id = user.id
        self._user = user
        self.sent: defaultdict[str, list[str]] = defaultdict(list)
        self.gives_up_after = SEND_TIMEOUT
        self.accepted: dict[str, float] = {}
        """When each message was accepted, by its id and the monotonic clock."""
        self.received: defaultdict[str, list[str]] = defaultdict(list)
        """The ids of the received messages, in order of arrival."""
        self.received_at: dict[str, float] = {}
        """When the client first knew each message, by its id and the monotonic clock."""
        self.numbers: dict[str, int] = {}
        """The number that each message first had, by its id."""
        self.sequence_breaks: list[tuple[str, int, int]] = []
        """Conversation, last number and number of each message that did not follow the one before it."""
        self.confirmed: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        """The errors of refused sends, each with the `seconds` that the refusal took."""
        self.unanswered = 0
        """Sends without an acknowledgement, though the socket lived."""
        self.unread: dict[str, int] = {}
        self.status: dict[str, str] = {}
        """The last received presence of each user: `online` or `offline`."""
        self.failures: list[tuple[str, Any]] = []
        """Each `messageRejected` and `messageFailed`."""
        self.disconnects = 0
        """How often the socket was lost and replaced."""
        self._url, self.transport = url, transport
        self._socket: LeanSocket | StockSocket | None = None
        self._last: dict[str, int] = {}

    @property
    def socket(self) -> LeanSocket | StockSocket:
        assert self._socket is not None, "not connected"
        return self._socket

    @property
    def node(self) -> str:
        """The name of the gateway that holds the socket."""
        return self.socket.engine_sid.partition(".")[0]

    async def connect(self) -> Self:
        auth = {"token": self._user.token}
        if self.transport == "polling":
            self._socket = await StockSocket.connect(self._url, NAMESPACE, auth, self._on_event, ("polling",))
        else:
            self._socket = await LeanSocket.connect(self._url, NAMESPACE, auth, self._on_event)
        return self

    async def call(self, event: str, payload: Any, within: float = 10.0) -> dict[str, Any]:
        """Emit an event; return its acknowledgement."""
        answer: dict[str, Any] = await self.socket.call(event, payload, within=within)
        return answer

    async def join(self, conversation_id: str) -> dict[str, Any]:
        answer = await self.call("joinRoom", {"conversationId": conversation_id})
        assert answer["success"] is True, answer
        return answer

    async def join_all(self, conversations: Iterable[str]) -> None:
        await asyncio.gather(*map(self.join, conversations))

    async def send(self, conversation_id: str, content: str, **more: Any) -> dict[str, Any]:
        """Send a message once; return the acknowledgement, also of a refusal."""
        run_gateway = time.monotonic()
        payload = {"conversationId": conversation_id, "content": content, **more}
        answer = await self.call("sendMessage", payload, ACK_TIMEOUT)
        if answer["success"]:
            self.sent[conversation_id].append(content)
            self.accepted.setdefault(answer["message"]["_id"], time.monotonic())
        else:
            self.refusals.append({**answer["error"], "seconds": time.monotonic() - run_gateway})
        return answer

    async def send_until_accepted(self, conversation_id: str, content: str) -> None:
        """Send a message with one client id until it is accepted."""
        name, deadline = str(uuid4()), time.monotonic() + self.gives_up_after
        while time.monotonic() < deadline:
            try:
                answer = await self.send(conversation_id, content, clientMessageId=name)
            except (TimeoutError, Disconnected) as error:
                self.unanswered += isinstance(error, TimeoutError)
                answer = {"success": False, "error": {"retryable": True}}
            if answer["success"]:
                return
            assert answer["error"]["retryable"], answer
            await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError(f"{self.user_id} could not say {content!r} within {self.gives_up_after} s")

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    def _on_event(self, event: str, payload: Any) -> None:
        match event:
            case "newMessage":
                self._on_message(payload["conversationId"], payload["message"])
            case "messageSent":
                self.confirmed.append(payload)
            case "unreadCount":
                self.unread[payload["conversationId"]] = payload["unread"]
            case "userStatusChanged":
                self.status[payload["userId"]] = payload["status"]
            case "messageRejected" | "messageFailed":
                self.failures.append((event, payload))

    def _on_message(self, conversation_id: str, message: dict[str, Any]) -> None:
        last = self._last.get(conversation_id)
        if last is not None and message["seq"] != last + 1:
            self.sequence_breaks.append((conversation_id, last, message["seq"]))
        self._last[conversation_id] = message["seq"]
        self.numbers.setdefault(message["_id"], message["seq"])
        self.received[conversation_id].append(message["_id"])
        self.received_at.setdefault(message["_id"], time.monotonic())


class RecordingClients:
    """The clients of one test; closes them at the end."""

    def __init__(self, users: ChatUsers) -> None:
        self._users = users
        self._opened: list[RecordingClient] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(client.close() for client in self._opened), return_exceptions=True)

    async def connect(
        self, name: str, url: str | None = None, transport: str = "websocket"
    ) -> RecordingClient:
        """Connect a socket of a user, through nginx or straight to a gateway's url."""
        return await self.add(RecordingClient(self._users.user(name), url or self._users.url, transport))

    async def create_group(self, *names: str) -> str:
        """Create a group of these users by REST, owned by the first; return its id."""
        owner, *others = [self._users.user(name) for name in names]
        body = {"type": "group", "name": "A group", "participants": [user.id for user in others]}
        status, conversation = await owner.rest("POST", "/chats/conversations", body)
        assert status == 201, conversation
        conversation_id: str = conversation["_id"]
        return conversation_id

    async def create_group_per_partition(self, *names: str) -> list[str]:
        """Create a group of these users on every partition; return the ids by partition."""
        found: dict[int, str] = {}
        while len(found) < PARTITIONS.count:
            conversation_id = await self.create_group(*names)
            found.setdefault(PARTITIONS.of(conversation_id), conversation_id)
        return [found[partition] for partition in range(PARTITIONS.count)]

    async def add(self, client: V) -> V:
        """Connect a client of another class, and close it with the others."""
        self._opened.append(client)
        await client.connect()
        return client

    async def connect_listeners(self, name: str, urls: Iterable[str]) -> list[RecordingClient]:
        """Connect a websocket and a polling socket of one user at each of the urls."""
        return [await self.connect(name, url, how) for url in urls for how in ("polling", "websocket")]

    async def connect_all(self, names: Iterable[str], urls: Sequence[str]) -> list[RecordingClient]:
        """Connect a websocket for each name, to the urls in turn."""
        return list(await asyncio.gather(*(self.connect(n, u) for n, u in zip(names, itertools.cycle(urls)))))
