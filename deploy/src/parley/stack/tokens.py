"""Tokens for trying things out, signed with the stack's own secret."""

import re
import time
import uuid

import jwt

from parley.stack.errors import StackError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def create_token(
    secret: str, user: str, name: str | None = None, lifetime: str = "24h", **claims: str
) -> str:
    """Return an HS256 JWT for `user`.

    Args:
        secret: JWT_SECRET.
        user: the claim `sub`.
        name: the claim `name`, by default `user`.
        lifetime: a number with s, m, h or d.
        claims: further claims.

    Raises:
        StackError: `user` is blank or `lifetime` is malformed.
    """
    if not user.strip():
        raise StackError("A token needs a user: make token USER=alice")
    now = int(time.time())
    payload = {
        "sub": user,
        "name": name or user,
        "username": user,
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + _seconds(lifetime),
        **claims,
    }
    return jwt.encode(payload, secret, algorithm="HS256")


def _seconds(lifetime: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd]?)", lifetime)
    if not match:
        raise StackError(f"A lifetime is a number with s, m, h or d, such as 24h, not {lifetime!r}.")
    return int(match[1]) * _SECONDS[match[2] or "s"]
