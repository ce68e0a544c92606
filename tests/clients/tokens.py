"""Short-lived and distinguishable tokens, and checks of sockets whose token has become invalid."""

import asyncio
import time
import uuid
from datetime import datetime
from typing import Any

from clients.chat import Socket, User, eventually, token
from clients.raw import request

CLOSED_SECONDS = 5.0
"""Seconds within which a socket is closed whose token has become invalid."""


def fresh(secret: str, user_id: str, seconds: float = 3600, **claims: Any) -> str:
    """Return a token that is issued now, with its own id."""
    now = int(time.time())
    return token(
        secret, user_id, **{"iat": now, "exp": now + int(seconds), "jti": uuid.uuid4().hex, **claims}
    )


async def assert_closed(socket: Socket, since: float | None = None) -> None:
    """Check that the socket is closed within CLOSED_SECONDS of `since` (by time.monotonic()), or of now."""
    left = (since or time.monotonic()) + CLOSED_SECONDS - time.monotonic()
    await eventually(lambda: not socket.connected, max(0.1, left))


async def assert_refused(url: str, wrong: str) -> None:
    """Check that REST and sockets refuse a token."""
    answer = await request(url, "GET", "/chats/conversations", Authorization=f"Bearer {wrong}")
    assert (answer.status, answer.body["error"]["code"]) == (401, "UNAUTHORIZED"), answer
    errors: asyncio.Queue[Any] = asyncio.Queue()
    socket = Socket(url, {"token": wrong}, ["websocket"])
    socket.io.on("connect_error", errors.put, namespace="/chat")
    try:
        await socket.connect()
    except Exception:
        assert (await errors.get())["data"]["code"] == "UNAUTHORIZED"
    else:
        raise AssertionError("it was let in")
    finally:
        await socket.close()


async def assert_accepted(url: str, right: str) -> None:
    """Check that REST accepts a token."""
    answer = await request(url, "GET", "/chats/conversations", Authorization=f"Bearer {right}")
    assert answer.status == 200, answer


def seconds_of(iso: str) -> float:
    """Return an ISO time as seconds since 1970."""
    return datetime.fromisoformat(iso).timestamp()


async def later(user: User, secret: str, than: float) -> str:
    """Return a token of the user that is issued in a later second than `than`: `iat` counts seconds."""
    await eventually(lambda: int(time.time()) > than)
    return fresh(secret, user.id)
