"""Tokens that end soon, or can be told apart, and what becomes of sockets whose token holds no more."""

import asyncio
import time
import uuid
from datetime import datetime
from typing import Any

from clients.chat import Socket, User, eventually, token
from clients.raw import request

CLOSED_SECONDS = 5.0
"""How soon a socket is closed whose token holds no more."""


def fresh(secret: str, user_id: str, seconds: float = 3600, **claims: Any) -> str:
    """A token issued now, by an id of its own."""
    now = int(time.time())
    return token(
        secret, user_id, **{"iat": now, "exp": now + int(seconds), "jti": uuid.uuid4().hex, **claims}
    )


async def is_closed(socket: Socket, since: float | None = None) -> None:
    """The socket is closed within the promised time of `since`, a moment of time.monotonic(), or of now."""
    left = (since or time.monotonic()) + CLOSED_SECONDS - time.monotonic()
    await eventually(lambda: not socket.connected, max(0.1, left))


async def is_refused(url: str, wrong: str) -> None:
    """Neither REST nor a socket lets this token in."""
    answer = await request(url, "GET", "/chats/conversations", Authorization=f"Bearer {wrong}")
    assert (answer.status, answer.body["error"]["code"]) == (401, "UNAUTHORIZED"), answer
    told: asyncio.Queue[Any] = asyncio.Queue()
    socket = Socket(url, {"token": wrong}, ["websocket"])
    socket.io.on("connect_error", told.put, namespace="/chat")
    try:
        await socket.connect()
    except Exception:
        assert (await told.get())["data"]["code"] == "UNAUTHORIZED"
    else:
        raise AssertionError("it was let in")
    finally:
        await socket.close()


async def is_let_in(url: str, right: str) -> None:
    """REST lets this token in."""
    answer = await request(url, "GET", "/chats/conversations", Authorization=f"Bearer {right}")
    assert answer.status == 200, answer


def seconds_of(iso: str) -> float:
    """A time as it is told, in seconds since 1970."""
    return datetime.fromisoformat(iso).timestamp()


async def later(user: User, secret: str, than: float) -> str:
    """A token of the user's that was issued after a moment: in a later second, for so tokens say it."""
    await eventually(lambda: int(time.time()) > than)
    return fresh(secret, user.id)
