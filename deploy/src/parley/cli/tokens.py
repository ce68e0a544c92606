"""Tokens for trying things out, signed with the services' own secret."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Annotated

import jwt
import typer

from parley.cli import environment
from parley.cli.errors import CommandError
from parley.cli.output import Json, print_json

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def token(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="The user's id.")],
    name: Annotated[str | None, typer.Option(help="The user's name; by default the id.")] = None,
    role: Annotated[str | None, typer.Option(help="A role, such as admin.")] = None,
    ttl: Annotated[str, typer.Option(help="The lifetime: a number with s, m, h or d.")] = "24h",
    as_json: Json = False,
) -> None:
    """Print a token for trying things out, which these gateways accept."""
    made = for_user(environment.of(context).setting, user, name, ttl, role)
    print_json({"token": made}) if as_json else print(made)


def for_user(setting: Callable[[str], str], user: str, name: str | None, ttl: str, role: str | None) -> str:
    """Return a token with the issuer and audience that the gateways ask for.

    Args:
        setting: Returns a setting of the gateways, by its name.
        user: The user's id.
        name: The user's name, by default the id.
        ttl: The lifetime.
        role: A role.

    Raises:
        CommandError: Only an issuer can sign tokens, there is no secret, or an argument is malformed.
    """
    if setting("JWT_JWKS_URL"):
        raise CommandError("JWT_JWKS_URL is set, so only its issuer can sign tokens: get a token there.")
    secret = setting("JWT_SECRET")
    if not secret:
        raise CommandError("JWT_SECRET is not set here: run it where a gateway runs, or `make up` first.")
    optional = {"iss": setting("JWT_ISSUER"), "aud": setting("JWT_AUDIENCE"), "role": role}
    return create_token(secret, user, name, ttl, **{claim: text for claim, text in optional.items() if text})


def create_token(
    secret: str, user: str, name: str | None = None, lifetime: str = "24h", **claims: str
) -> str:
    """Return an HS256 JWT (RFC 7519) for `user`.

    Args:
        secret: JWT_SECRET.
        user: The claim `sub`.
        name: The claim `name`, by default `user`.
        lifetime: A number with s, m, h or d.
        claims: Further claims.

    Raises:
        CommandError: `user` is blank or `lifetime` is malformed.
    """
    if not user.strip():
        raise CommandError("A token needs a user: make token USER=alice")
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
        raise CommandError(f"A lifetime is a number with s, m, h or d, such as 24h, not {lifetime!r}.")
    return int(match[1]) * _SECONDS[match[2] or "s"]
