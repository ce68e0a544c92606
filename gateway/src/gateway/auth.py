"""Tokens: who asks, until when. JSON Web Tokens (RFC 7519), the algorithms closed by kind of key."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
import jwt

from gateway.core.errors import Unauthorized, Unavailable
from shared.model import MAX_ID, Person

SUBJECTS = ("sub", "userId", "id")
REFETCH_SECONDS = 10.0
FETCH_SECONDS = 3.0
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, and the Unix time at which their token ends."""

    person: Person
    expires_at: float


class Keys:
    """The keys that tokens are checked with: a shared secret, or a JWK set (RFC 7517) by URL."""

    def __init__(self, secret: str, jwks_url: str) -> None:
        self._secret = secret
        self._url = jwks_url
        self._set: dict[str, Any] = {}
        self._fetched = self._failed = -REFETCH_SECONDS
        self._lock = asyncio.Lock()

    @property
    def algorithms(self) -> list[str]:
        """The algorithms that these keys are for, and no others."""
        return ["RS256", "ES256"] if self._url else ["HS256"]

    async def key_for(self, token: str) -> Any:
        """The key that the token says it is signed by.

        Raises:
            Unauthorized: there is no such key.
            Unavailable: the key set cannot be fetched.
        """
        if not self._url:
            return self._secret
        kid = jwt.get_unverified_header(token).get("kid", "")
        if kid not in self._set:
            await self._fetch()
        if kid not in self._set:
            raise Unauthorized("The token is signed by an unknown key.")
        return self._set[kid]

    async def _fetch(self) -> None:
        async with self._lock:
            if monotonic() - self._fetched < REFETCH_SECONDS:
                return
            if monotonic() - self._failed < RETRY_SECONDS:
                raise Unavailable("The keys for tokens cannot be fetched.")
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            try:
                async with aiohttp.ClientSession(timeout=timeout) as http, http.get(self._url) as answer:
                    found = jwt.PyJWKSet.from_dict(await answer.json(content_type=None))
            except (aiohttp.ClientError, TimeoutError, ValueError, jwt.PyJWKSetError) as error:
                self._failed = monotonic()
                raise Unavailable("The keys for tokens cannot be fetched.") from error
            self._set = {key.key_id or "": key for key in found.keys}
            self._fetched = monotonic()


class Authenticator:
    """Tells from a token who it is."""

    def __init__(self, keys: Keys, issuer: str = "", audience: str = "") -> None:
        self._keys = keys
        self._issuer = issuer or None
        self._audience = audience or None

    async def identify(self, token: Any) -> Identity:
        """Who the bearer of a token is.

        Raises:
            Unauthorized: the token is missing or cannot be trusted; says why.
        """
        if not isinstance(token, str) or not token:
            raise Unauthorized("A token is needed.")
        try:
            claims = jwt.decode(
                token,
                await self._keys.key_for(token),
                algorithms=self._keys.algorithms,
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp"], "verify_aud": self._audience is not None, "verify_sub": False},
            )
            expires_at = float(claims["exp"])
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired.") from None
        except jwt.MissingRequiredClaimError as error:
            raise Unauthorized(f"The token has no {error.claim}.") from None
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise Unauthorized("The token is not valid.") from None
        return Identity(_person(claims), expires_at)


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
