"""Keys that verify tokens: a shared secret, or a JWK set (RFC 7517) fetched from a URL."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
import jwt
import structlog

from parley.gateway.core.errors import Unauthorized, Unavailable

log = structlog.get_logger()

REFETCH_SECONDS = 10.0
"""The shortest time between two fetches, however many tokens name unknown keys."""
FETCH_SECONDS = 3.0
RETRY_SECONDS = 1.0
CURVES = {"RS256": None, "ES256": "P-256"}
"""The supported algorithms of public keys, each with its curve if it has one."""


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key, and the one algorithm that it may be used with."""

    material: Any
    algorithm: str

    def is_same(self, other: "SigningKey") -> bool:
        """Tell whether both hold the same key for the same algorithm."""
        return bool((self.material, self.algorithm) == (other.material, other.algorithm))


KeyName = tuple[str, str]
"""A key's id and algorithm, as a token's header names them."""


class SigningKeys:
    """The keys that are currently trusted.

    Args:
        secrets: The secrets of HS256 tokens, the present one first; used only without a URL.
        jwks_url: The URL of the JWK set; empty for none.
    """

    def __init__(self, secrets: Sequence[str], jwks_url: str) -> None:
        self._secrets = _secret_keys(secrets)
        self._url = jwks_url
        self._set: dict[KeyName, SigningKey] = {}
        self._trusted = self._all_keys()
        self._fetched = self._failed = -REFETCH_SECONDS
        self._lock = asyncio.Lock()

    async def keys_for(self, token: str) -> Sequence[SigningKey]:
        """Return the keys one of which must have signed a token.

        That is the key of the set that the token's header names, which is fetched again if it is unknown.

        Raises:
            PyJWTError: the text is not a token.
            Unauthorized: the set has no such key.
            Unavailable: the set cannot be fetched.
        """
        if not self._url:
            return self._secrets
        header = jwt.get_unverified_header(token)
        # A header is any JSON: only texts can name a key.
        name = str(header.get("kid", "")), str(header.get("alg"))
        # An unsupported algorithm cannot become known by a fetch.
        if name not in self._set and name[1] in CURVES:
            await self._fetch_again()
        if name not in self._set:
            raise Unauthorized("The token is signed by an unknown key.")
        return (self._set[name],)

    def trusts(self, key: SigningKey) -> bool:
        """Tell whether a key returned before is still trusted."""
        return key in self._trusted

    def _all_keys(self) -> frozenset[SigningKey]:
        # Keys are compared by identity.
        return frozenset(self._set.values() if self._url else self._secrets)

    async def replace(self, secrets: Sequence[str], jwks_url: str) -> None:
        """Trust other keys from now on; a set is fetched anew. Keys that were trusted before stay the same.

        Raises:
            Unavailable: The set cannot be fetched; nothing has changed.
        """
        async with self._lock:
            if jwks_url:
                await self._fetch(jwks_url)
            self._url = jwks_url
            known = {key.material: key for key in self._secrets}
            self._secrets = tuple(known.get(key.material, key) for key in _secret_keys(secrets))
            self._trusted = self._all_keys()

    async def refresh(self) -> None:
        """Fetch the set and drop the keys it no longer has; on failure the known keys stay trusted.

        Raises:
            Unavailable: the set cannot be fetched.
        """
        if self._url:
            async with self._lock:
                await self._fetch(self._url)

    async def _fetch_again(self) -> None:
        async with self._lock:
            if monotonic() - self._fetched < REFETCH_SECONDS:
                return
            if monotonic() - self._failed < RETRY_SECONDS:
                raise Unavailable("The token signing keys cannot be fetched.")
            await self._fetch(self._url)

    async def _fetch(self, url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as http,
                http.get(url) as answer,
            ):
                found = _keys(await answer.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._failed = monotonic()
            raise Unavailable("The token signing keys cannot be fetched.") from error
        self._set = {name: self._keep_known(name, key) for name, key in found}
        self._trusted = self._all_keys()
        self._fetched = monotonic()

    def _keep_known(self, name: KeyName, key: SigningKey) -> SigningKey:
        """Return the known object of an unchanged key: sessions are compared by identity and stay trusted."""
        old = self._set.get(name)
        return old if old is not None and key.is_same(old) else key


def _secret_keys(secrets: Sequence[str]) -> tuple[SigningKey, ...]:
    return tuple(SigningKey(secret, "HS256") for secret in secrets if secret)


def _keys(jwk_set: Any) -> list[tuple[KeyName, SigningKey]]:
    """Return the usable keys of a JWK set.

    Raises:
        ValueError: the document is not a JWK set, or has no usable key.
    """
    entries = jwk_set.get("keys") if isinstance(jwk_set, dict) else None
    found = [key for each in entries if (key := _key(each))] if isinstance(entries, list) else []
    if not found:
        raise ValueError("the document has no usable key")
    return found


def _key(jwk: Any) -> tuple[KeyName, SigningKey] | None:
    """Return a public key for a supported algorithm with its name; None for any other key."""
    # A private key (`d`) that is published is compromised. Symmetric keys fail the check of the algorithm.
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
