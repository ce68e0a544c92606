"""Authenticate users by JSON Web Tokens (RFC 7519); each key allows one algorithm only."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from time import time
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm

from parley.gateway.core.errors import Unauthorized
from parley.gateway.services.revocations import RevocationService
from parley.gateway.signing_keys import SigningKey, SigningKeys
from parley.gateway.state.bounded_dict import BoundedDict
from parley.shared.model import MAX_ID, Person

VERIFIED_TOKENS = 2_000
"""Tokens whose signatures are not verified again: clients that reconnect, and requests, show them often."""
PREPARED_SECRETS = 4
"""Secrets that are trusted at a time, and those of the latest rotation."""
MAX_CLAIM, MAX_URL = 500, 2_048
"""Characters of a claim; a signed URL of a picture is longer."""
SUBJECTS = ("sub", "userId", "id")
"""The claims that may hold the user's id, in the order of preference."""
SCHEME = "bearer"
"""The scheme of RFC 6750, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The claims of a trusted token.

    Attributes:
        person: The user.
        expires_at: The claim `exp`, in Unix time.
        issued_at: The claim `iat`, in Unix time.
        token_id: The claim `jti`.
        key: The key that the token is signed with.
    """

    person: Person
    expires_at: float
    issued_at: float | None
    token_id: str | None
    key: SigningKey


_HS256 = HMACAlgorithm(HMACAlgorithm.SHA256)
_prepared_secret = lru_cache(PREPARED_SECRETS)(_HS256.prepare_key)


class _Hmac(HMACAlgorithm):
    """HS256 that examines a secret once: PyJWT does for each token, which is a third of its time."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return _prepared_secret(key)


class _Decoder(jwt.PyJWT):
    """Takes a claim that is `null` for one that is not there: some issuers write all that they know."""

    def __init__(self) -> None:
        super().__init__()
        self._jws.unregister_algorithm("HS256")
        self._jws.register_algorithm("HS256", _Hmac(HMACAlgorithm.SHA256))

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        claims = super()._decode_payload(decoded)
        return {name: value for name, value in claims.items() if value is not None}


_decoder = _Decoder()


class Authenticator:
    """Identifies users by their tokens.

    Args:
        keys: The keys that tokens may be signed with.
        revocations: The revoked tokens.
        issuer: The `iss` that tokens must have; any if empty.
        audience: The `aud` that tokens must have; any if empty.
        short_keys: Whether keys shorter than RFC 7518 demands are accepted, for development.
        leeway: Seconds by which the issuer's clock may be ahead, for the claims `nbf` and `iat`.
    """

    def __init__(
        self,
        keys: SigningKeys,
        revocations: RevocationService,
        *,
        issuer: str = "",
        audience: str = "",
        short_keys: bool = False,
        leeway: float = 0.0,
    ) -> None:
        self._keys = keys
        self._revocations = revocations
        self._short_keys = short_keys
        self._leeway = leeway
        self._issuer = issuer or None
        self._audience = audience or None
        # A digest is kept instead of the token, which would let its finder in.
        self._verified: BoundedDict[bytes, Identity] = BoundedDict(VERIFIED_TOKENS)

    async def identify(self, token: Any) -> Identity:
        """Check a token and return its identity.

        Raises:
            Unauthorized: the token is missing, invalid, expired or revoked.
            Unavailable: the keys or the revocations cannot be read now.
        """
        token = without_scheme(token) if isinstance(token, str) else None
        if not token:
            raise Unauthorized("A token is required.")
        digest = sha256(token.encode(errors="surrogatepass")).digest()
        identity = self._verified.get(digest)
        if identity is None or not self._is_trusted(identity):
            identity = await self._decode(token)
            self._verified.put(digest, identity)
        if await self._revocations.is_revoked(identity.person.id, identity.token_id, identity.issued_at):
            raise Unauthorized("The token has been revoked.")
        return identity

    def is_valid(self, identity: Identity) -> bool:
        """Tell whether a token identified before is still valid, as far as this gateway knows."""
        return self._is_trusted(identity) and not self._revocations.is_known_revoked(
            identity.person.id, identity.token_id, identity.issued_at
        )

    def _is_trusted(self, identity: Identity) -> bool:
        return time() < identity.expires_at and self._keys.trusts(identity.key)

    async def _decode(self, token: str) -> Identity:
        try:
            key, claims = self._verify(token, await self._keys.keys_for(token))
            expires_at = float(claims["exp"])
            issued_at = float(claims["iat"]) if "iat" in claims else None
            token_id = _token_id(claims.get("jti"))
            if expires_at <= time():
                raise jwt.ExpiredSignatureError
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired.") from None
        except jwt.MissingRequiredClaimError as error:
            raise Unauthorized(f"The token has no claim {error.claim}.") from None
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise Unauthorized("The token is invalid.") from None
        return Identity(
            person=_person(claims),
            expires_at=expires_at,
            issued_at=issued_at,
            token_id=token_id,
            key=key,
        )

    def _verify(self, token: str, keys: Sequence[SigningKey]) -> tuple[SigningKey, dict[str, Any]]:
        """Return the key that has signed a token, and the token's claims.

        Raises:
            PyJWTError: None of the keys has, or the claims are not valid now.
        """
        for key in keys:
            with suppress(jwt.InvalidSignatureError):
                return key, self._claims(token, key)
        raise jwt.InvalidSignatureError

    def _claims(self, token: str, key: SigningKey) -> dict[str, Any]:
        return _decoder.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            leeway=self._leeway,
            issuer=self._issuer,
            audience=self._audience,
            options={
                "require": ["exp"],
                "verify_aud": self._audience is not None,
                "verify_sub": False,
                "verify_jti": False,
                "enforce_minimum_key_length": not self._short_keys,
            },
        )


def without_scheme(credentials: str) -> str:
    """Return a token without the scheme `Bearer`: many clients send it outside of the header too."""
    scheme, *rest = credentials.split(maxsplit=1) or [""]
    return (rest[0] if rest and scheme.lower() == SCHEME else credentials).strip()


def _token_id(jti: Any) -> str | None:
    """Return the id of a token: many issuers number their tokens, though RFC 7519 (4.1.7) wants a string.

    Raises:
        ValueError: it is neither.
    """
    if jti is None or isinstance(jti, str):
        return jti
    if isinstance(jti, bool) or not isinstance(jti, int):
        raise ValueError("jti")
    return str(jti)


def _person(claims: Mapping[str, Any]) -> Person:
    permissions = claims.get("permissions")
    first, last = (
        _first_text(claims, "firstName", "given_name"),
        _first_text(claims, "lastName", "family_name"),
    )
    return Person(
        id=_subject(claims),
        name=_text(claims, "name") or " ".join(filter(None, (first, last))),
        username=_text(claims, "username") or "",
        first_name=first,
        last_name=last,
        avatar=_url(claims, "avatar"),
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
    raise Unauthorized("The token has no valid user id in sub, userId or id.")


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return _clean(value) if isinstance(value, str | int) else None


def _url(claims: Mapping[str, Any], name: str) -> str | None:
    """Return a claim that is a URL; a part of a longer one would lead nowhere."""
    value = claims.get(name)
    return _clean(value, MAX_URL) if isinstance(value, str) and len(value) <= MAX_URL else None


def _first_text(claims: Mapping[str, Any], *names: str) -> str | None:
    return next(filter(None, (_text(claims, name) for name in names)), None)


def _clean(value: Any, most: int = MAX_CLAIM) -> str:
    """Cut a claim, and replace lone surrogates, which JSON allows but UTF-8 cannot encode."""
    return str(value)[:most].encode(errors="replace").decode()
