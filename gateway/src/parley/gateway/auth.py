"""Tokens: who asks, until when. JSON Web Tokens (RFC 7519), the algorithms closed by kind of key."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Any

import jwt

from parley.gateway.core.errors import Unauthorized
from parley.gateway.services.revocations import RevocationService
from parley.gateway.signing_keys import SigningKey, SigningKeys
from parley.shared.model import MAX_ID, Person

SUBJECTS = ("sub", "userId", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person by a token: when it ends and began (Unix time), its id (`jti`), the key that signed it."""

    person: Person
    expires_at: float
    issued_at: float | None
    token_id: str | None
    key: SigningKey


class Authenticator:
    """Tells from a token who it is."""

    def __init__(
        self,
        keys: SigningKeys,
        revocations: RevocationService,
        *,
        issuer: str = "",
        audience: str = "",
        short_keys: bool = False,
    ) -> None:
        self._keys = keys
        self._revocations = revocations
        self._short_keys = short_keys
        self._issuer = issuer or None
        self._audience = audience or None

    async def identify(self, token: Any) -> Identity:
        """Who the bearer of a token is.

        Raises:
            Unauthorized: the token is missing or cannot be trusted; says why.
            Unavailable: that cannot be told now.
        """
        identity = await self._identity(token)
        if await self._revocations.refusal(identity.person.id, identity.token_id, identity.issued_at):
            raise Unauthorized("The token was revoked.")
        return identity

    def holds(self, identity: Identity) -> bool:
        """Whether a token that was trusted still is, as far as this node knows."""
        return (
            time() < identity.expires_at
            and self._keys.trusts(identity.key)
            and not self._revocations.refuses_now(identity.person.id, identity.token_id, identity.issued_at)
        )

    async def _identity(self, token: Any) -> Identity:
        if not isinstance(token, str) or not token:
            raise Unauthorized("A token is needed.")
        try:
            key = await self._keys.key_for(token)
            claims = jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                issuer=self._issuer,
                audience=self._audience,
                options={
                    "require": ["exp"],
                    "verify_aud": self._audience is not None,
                    "verify_sub": False,
                    "enforce_minimum_key_length": not self._short_keys,
                },
            )
            expires_at = float(claims["exp"])
            issued_at = float(claims["iat"]) if "iat" in claims else None
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired.") from None
        except jwt.MissingRequiredClaimError as error:
            raise Unauthorized(f"The token has no {error.claim}.") from None
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise Unauthorized("The token is not valid.") from None
        return Identity(
            person=_person(claims),
            expires_at=expires_at,
            issued_at=issued_at,
            token_id=claims.get("jti"),
            key=key,
        )


def _person(claims: Mapping[str, Any]) -> Person:
    permissions = claims.get("permissions")
    first, last = _either(claims, "firstName", "given_name"), _either(claims, "lastName", "family_name")
    return Person(
        id=_subject(claims),
        name=_text(claims, "name") or " ".join(filter(None, (first, last))),
        username=_text(claims, "username") or "",
        first_name=first,
        last_name=last,
        avatar=_text(claims, "avatar"),
        role=_text(claims, "role"),
        type=_text(claims, "type"),
        department=_text(claims, "department"),
        permissions=tuple(map(_clean, permissions)) if isinstance(permissions, list) else (),
    )


def _subject(claims: Mapping[str, Any]) -> str:
    for name in SUBJECTS:
        value = claims.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            subject = str(value)
            if 0 < len(subject) <= MAX_ID and subject.isprintable():
                return subject
    raise Unauthorized("The token has no subject.")


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return _clean(value) if isinstance(value, str | int) else None


def _either(claims: Mapping[str, Any], *names: str) -> str | None:
    return next(filter(None, (_text(claims, name) for name in names)), None)


def _clean(value: Any) -> str:
    """At most 500 characters, with `?` for what is not Unicode, as JSON may smuggle in."""
    return str(value)[:500].encode(errors="replace").decode()
