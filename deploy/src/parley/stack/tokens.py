"""Tokens to try things with, signed by the stack's own secret."""

import re
import time
import uuid

import jwt

from parley.stack.errors import StackError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def token(secret: str, user: str, name: str | None = None, lifetime: str = "24h", **more: str) -> str:
    """A JWT for `user` (HS256) with `more` claims; `lifetime` is a number with s, m, h or d."""
    if not user.strip():
        raise StackError("A token needs a user: make token USER=alice")
    now = int(time.time())
    claims = {
        "sub": user,
        "name": name or user,
        "username": user,
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + _seconds(lifetime),
        **more,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def _seconds(lifetime: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd]?)", lifetime)
    if not match:
        raise StackError(f"A lifetime is a number with s, m, h or d, such as 24h, not {lifetime!r}.")
    return int(match[1]) * _SECONDS[match[2] or "s"]
