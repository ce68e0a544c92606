"""Keys that tokens are checked with: a shared secret, or a JWK set (RFC 7517) that is fetched by its URL."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
import jwt
import structlog

from parley.gateway.core.errors import Unauthorized, Unavailable

log = structlog.get_logger()

REFETCH_SECONDS = 10.0
"""How soon after a fetch the next one may follow, whatever keys tokens name."""
FETCH_SECONDS = 3.0
RETRY_SECONDS = 1.0
CURVES = {"RS256": None, "ES256": "P-256"}
"""The algorithms of public keys, each with the curve that it is on."""


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key, and the one algorithm that it is for."""

    material: Any
    algorithm: str

    def is_same(self, other: "SigningKey") -> bool:
        """Whether it is another one's twin."""
        return bool((self.material, self.algorithm) == (other.material, other.algorithm))


Name = tuple[str, str]
"""What a token says of its key: the key's id, and the algorithm."""


class SigningKeys:
    """The keys that are trusted now."""

    def __init__(self, secret: str, jwks_url: str) -> None:
        self._secret = SigningKey(secret, "HS256")
        self._url = jwks_url
        self._set: dict[Name, SigningKey] = {}
        self._fetched = self._failed = -REFETCH_SECONDS
        self._lock = asyncio.Lock()

    async def key_for(self, token: str) -> SigningKey:
        """The key that the token says it is signed by.

        Raises:
            PyJWTError: it is no token.
            Unauthorized: there is no such key.
            Unavailable: the key set cannot be fetched.
        """
        if not self._url:
            return self._secret
        header = jwt.get_unverified_header(token)
        name = header.get("kid", ""), header.get("alg")
        # A name that no key can have is not worth a fetch.
        if name not in self._set and name[1] in CURVES:
            await self._fetch_again()
        if name not in self._set:
            raise Unauthorized("The token is signed by an unknown key.")
        return self._set[name]

    def trusts(self, key: SigningKey) -> bool:
        """Whether a key that was trusted still is."""
        return key is self._secret or any(key is each for each in self._set.values())

    async def refresh(self) -> None:
        """Forget the keys that were taken out of the set; while it cannot be fetched all are trusted."""
        if self._url:
            async with self._lock:
                await self._fetch()

    async def _fetch_again(self) -> None:
        async with self._lock:
            if monotonic() - self._fetched < REFETCH_SECONDS:
                return
            if monotonic() - self._failed < RETRY_SECONDS:
                raise Unavailable("The keys for tokens cannot be fetched.")
            await self._fetch()

    async def _fetch(self) -> None:
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as http,
                http.get(self._url) as answer,
            ):
                found = _keys(await answer.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._failed = monotonic()
            raise Unavailable("The keys for tokens cannot be fetched.") from error
        self._set = {name: self._known(name, key) for name, key in found}
        self._fetched = monotonic()

    def _known(self, name: Name, key: SigningKey) -> SigningKey:
        """The key as it was known before: whoever came by one that stays need not come again."""
        old = self._set.get(name)
        return old if old is not None and key.is_same(old) else key


def _keys(jwk_set: Any) -> list[tuple[Name, SigningKey]]:
    """The keys of a set that tokens may be signed by.

    Raises:
        ValueError: it is no set, or there is no such key in it.
    """
    entries = jwk_set.get("keys") if isinstance(jwk_set, dict) else None
    found = [key for each in entries if (key := _key(each))] if isinstance(entries, list) else []
    if not found:
        raise ValueError("no set of keys, or an empty one")
    return found


def _key(jwk: Any) -> tuple[Name, SigningKey] | None:
    """A public key for one of our algorithms, by its name; None of everything else."""
    # A shared secret would be none here, and whoever publishes a private key has lost it.
    if not isinstance(jwk, Mapping) or "d" in jwk or jwk.get("use", "sig") != "sig":
        return None
    if "alg" in jwk and jwk["alg"] not in (*CURVES,):
        return None
    try:
        made = jwt.PyJWK(dict(jwk))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    if made.algorithm_name not in CURVES or jwk.get("crv") != CURVES[made.algorithm_name]:
        return None
    return (str(jwk.get("kid", "")), made.algorithm_name), SigningKey(made.key, made.algorithm_name)
