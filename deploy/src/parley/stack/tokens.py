"""Tokens for trying things out, signed with the stack's own secret; `parley.cli` makes them."""

from parley.cli import tokens
from parley.cli.errors import CommandError
from parley.stack.errors import StackError


def create_token(
    secret: str, user: str, name: str | None = None, lifetime: str = "24h", **claims: str
) -> str:
    """Return an HS256 JWT for `user`.

    Raises:
        StackError: `user` is blank or `lifetime` is malformed.
    """
    try:
        return tokens.create_token(secret, user, name, lifetime, **claims)
    except CommandError as error:
        raise StackError(str(error)) from None
