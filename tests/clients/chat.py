"""A chat client for tests: users with tokens, sockets that keep what they receive, and REST."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import jwt
import socketio

NAMESPACE = "/chat"
DEADLINE = 15.0


async def eventually(condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """Wait until a condition (or an awaitable of it) is truthy; return its value."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {condition}")
        await asyncio.sleep(0.02)


def token(secret: str, user_id: str, **claims: Any) -> str:
    """Return a signed token for a user id, with further claims; None removes one."""
    known = {"sub": user_id, "name": user_id.title(), "username": user_id, "exp": int(time.time()) + 3600}
    return jwt.encode({k: v for k, v in {**known, **claims}.items() if v is not None}, secret, "HS256")


class Socket:
    """One Socket.IO connection in the groups protocol."""

    def __init__(
        self, url: str, auth: dict[str, Any], transports: list[str], headers: dict[str, str] | None = None
    ) -> None:
        self._headers = headers or {}
        self.received: list[tuple[str, Any]] = []
        self._url, self._auth, self._transports = url, auth, transports
        self._io = socketio.AsyncClient(reconnection=False)
        self._io.on("*", self._on_event, namespace=NAMESPACE)

    async def connect(self) -> Self:
        await self._io.connect(
            self._url,
            headers=self._headers,
            namespaces=[NAMESPACE],
            auth=self._auth,
            transports=self._transports,
            wait_timeout=10,
        )
        return self

    async def close(self) -> None:
        await self._io.disconnect()
        await self._io.eio.wait()
        # After a refused connect the client leaves its HTTP session open.
        if self._io.eio.http is not None:
            await self._io.eio.http.close()

    @property
    def connected(self) -> bool:
        return bool(self._io.connected)

    @property
    def node(self) -> str:
        """The name of the gateway that holds the socket."""
        return str(self._io.get_sid(NAMESPACE)).partition(".")[0]

    @property
    def io(self) -> socketio.AsyncClient:
        """The Socket.IO client below, for what a chat client does not do."""
        return self._io

    async def call(self, event: str, payload: Any = None, within: float = 10) -> dict[str, Any]:
        """Emit an event; return its acknowledgement."""
        answer = await self._io.call(event, payload, namespace=NAMESPACE, timeout=within)
        assert isinstance(answer, dict), answer
        return answer

    async def call_ok(self, event: str, payload: Any = None) -> dict[str, Any]:
        """Emit an event and check that it succeeds; return its acknowledgement."""
        answer = await self.call(event, payload)
        assert answer["success"] is True, answer
        return answer

    async def emit(self, event: str, payload: Any = None) -> None:
        """Emit an event without asking for an acknowledgement."""
        await self._io.emit(event, payload, namespace=NAMESPACE)

    async def send(self, conversation_id: str, content: str, **more: Any) -> dict[str, Any]:
        """Send a message; return it as acknowledged."""
        answer = await self.call_ok(
            "sendMessage", {"conversationId": conversation_id, "content": content, **more}
        )
        message: dict[str, Any] = answer["message"]
        return message

    def events(self, event: str, **fields: Any) -> list[Any]:
        """Return the payloads of received events with this name and these field values."""
        return [p for name, p in self.received if name == event and _has(p, fields)]

    async def wait_for(self, event: str, deadline: float = DEADLINE, **fields: Any) -> Any:
        """Wait for an event with these field values; return its payload."""
        try:
            return (await eventually(lambda: self.events(event, **fields), deadline))[0]
        except AssertionError:
            raise AssertionError(f"never heard {event} {fields}; heard {self.received[-20:]}") from None

    def messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """Return the received messages of a conversation, in order of arrival."""
        return [p["message"] for p in self.events("newMessage", conversationId=conversation_id)]

    async def _on_event(self, event: str, *args: Any) -> None:
        self.received.append((event, args[0] if args else None))


@dataclass(frozen=True)
class Exchange:
    """A REST request without its query, and the answer."""

    method: str
    path: str
    body: Any
    status: int
    answer: Any


class User:
    """A user of one test: a token, sockets and REST."""

    def __init__(self, url: str, secret: str, user_id: str, **claims: Any) -> None:
        self.id = user_id
        self.token = token(secret, user_id, **claims)
        self._url = url
        self.exchanges: list[Exchange] = []
        self._sockets: list[Socket] = []
        self._http: aiohttp.ClientSession | None = None

    async def socket(
        self, transport: str = "websocket", *, url: str | None = None, headers: dict[str, str] | None = None
    ) -> Socket:
        """Open a socket through nginx, or straight to the gateway at `url`."""
        socket = Socket(url or self._url, {"token": self.token}, [transport], headers)
        self._sockets.append(socket)
        return await socket.connect()

    async def rest(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        """Make a REST request; return status and body."""
        if self._http is None:
            self._http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.token}"})
        async with self._http.request(method, self._url + path, json=body, params=query) as answer:
            exchange = Exchange(method, path, body, answer.status, await answer.json())
        self.exchanges.append(exchange)
        return exchange.status, exchange.answer

    async def history(self, conversation_id: str) -> list[dict[str, Any]]:
        """Return all messages of a conversation, read by REST page by page."""
        messages: list[dict[str, Any]] = []
        cursor: str | None = "0"
        while cursor is not None:
            path = f"/chats/conversations/{conversation_id}/messages"
            status, page = await self.rest("GET", path, after=cursor, limit=100)
            assert status == 200, page
            messages += page["messages"]
            cursor = page["nextCursor"]
        return messages

    async def unread(self, conversation_id: str) -> int:
        """Return the unread count that REST reports."""
        status, conversation = await self.rest("GET", f"/chats/conversations/{conversation_id}")
        assert status == 200, conversation
        count: int = conversation["unreadCount"]
        return count

    async def close(self) -> None:
        for socket in self._sockets:
            await socket.close()
        if self._http is not None:
            await self._http.close()


class ChatUsers:
    """The users of one test, whose ids no other test uses."""

    def __init__(self, url: str, secret: str) -> None:
        self.url, self.secret = url, secret
        self._suffix = uuid.uuid4().hex[:8]
        self._users: dict[str, User] = {}

    def user(self, name: str, /, **claims: Any) -> User:
        """Return the user of this name; `claims` of the token count the first time only."""
        if name not in self._users:
            self._users[name] = User(self.url, self.secret, f"{name}-{self._suffix}", **claims)
        return self._users[name]

    @property
    def exchanges(self) -> list[Exchange]:
        """All REST requests of all users."""
        return [exchange for user in self._users.values() for exchange in user.exchanges]

    async def sockets(self, *names: str) -> list[Socket]:
        """Open a websocket for each user."""
        return [await self.user(name).socket() for name in names]

    async def group(self, owner: Socket, *names: str) -> str:
        """Create a group of the owner and other users; return its id."""
        others = [self.user(name).id for name in names]
        answer = await owner.call_ok(
            "createConversation", {"type": "group", "name": "A group", "participants": others}
        )
        conversation_id: str = answer["conversation"]["_id"]
        return conversation_id

    async def close(self) -> None:
        for user in self._users.values():
            await user.close()


def _has(payload: Any, fields: dict[str, Any]) -> bool:
    return not fields or (isinstance(payload, dict) and all(payload.get(k) == v for k, v in fields.items()))
