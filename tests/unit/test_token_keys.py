"""Tokens by a set of public keys: only the algorithms of those keys count, never a shared secret."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import jwt
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from gateway.auth import Authenticator, Keys
from gateway.core.errors import Unauthorized, Unavailable

SECRET = "a shared secret that is long enough for this"
OWN = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = OWN.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """An issuer that publishes one key, `one`."""
    key = {**RSAAlgorithm.to_jwk(OWN.public_key(), as_dict=True), "kid": "one", "alg": "RS256"}

    async def keys(_request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps({"keys": [key]}), content_type="application/json")

    app = web.Application()
    app.router.add_get("/keys", keys)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
def authenticator(server: TestServer) -> Authenticator:
    """Checks by the published keys, although a secret is set too."""
    return Authenticator(Keys(SECRET, str(server.make_url("/keys"))))


def token(key: Any, algorithm: str, kid: str | None = "one", **claims: Any) -> str:
    headers = {"kid": kid} if kid is not None else {}
    known = {"sub": "alice", "exp": int(time.time()) + 60, **claims}
    return jwt.encode(known, key, algorithm, headers=headers)


def by_hand(secret: bytes) -> str:
    """An HS256 token by a secret that PyJWT would not sign with."""
    head, body, _ = token(SECRET, "HS256").split(".")
    signature = hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


async def test_a_token_by_the_published_key_is_trusted(authenticator: Authenticator) -> None:
    identity = await authenticator.identify(token(OWN, "RS256"))

    assert identity.person.id == "alice"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: token(SECRET, "HS256"), id="by the secret"),
        pytest.param(lambda: token(SECRET, "HS256", kid=None), id="by the secret, without a kid"),
        pytest.param(lambda: by_hand(PUBLIC), id="by the public key as a secret"),
        pytest.param(lambda: token("", "none"), id="unsigned"),
        pytest.param(lambda: token(ANOTHER, "RS256"), id="by another key of this name"),
        pytest.param(lambda: token(ANOTHER, "RS256", kid="two"), id="by an unknown key"),
        pytest.param(lambda: token(OWN, "RS256", kid=None), id="by a key without a name"),
        pytest.param(lambda: token(OWN, "RS512"), id="by another algorithm"),
        pytest.param(lambda: token(OWN, "RS256", exp=1), id="expired"),
        pytest.param(lambda: token(OWN, "RS256", sub=""), id="without a subject"),
        pytest.param(lambda: "not.a.token", id="not a token"),
        pytest.param(lambda: "\udcff", id="not even text"),
    ],
)
async def test_no_other_token_is_trusted(wrong: Any, authenticator: Authenticator) -> None:
    with pytest.raises(Unauthorized):
        await authenticator.identify(wrong())


async def test_while_the_keys_cannot_be_had_one_may_try_again(server: TestServer) -> None:
    authenticator = Authenticator(Keys("", str(server.make_url("/elsewhere"))))

    with pytest.raises(Unavailable):
        await authenticator.identify(token(OWN, "RS256"))


@pytest.mark.parametrize(
    ("claims", "trusted"),
    [
        ({"iss": "https://id.example", "aud": "parley"}, True),
        ({"iss": "https://id.example", "aud": ["other", "parley"]}, True),
        ({"iss": "https://mallory.example", "aud": "parley"}, False),
        ({"iss": "https://id.example", "aud": "other"}, False),
        ({"aud": "parley"}, False),
        ({"iss": "https://id.example"}, False),
    ],
)
async def test_issuer_and_audience_must_be_those_that_are_set(claims: dict[str, Any], trusted: bool) -> None:
    authenticator = Authenticator(Keys(SECRET, ""), "https://id.example", "parley")

    if trusted:
        assert (await authenticator.identify(token(SECRET, "HS256", **claims))).person.id == "alice"
    else:
        with pytest.raises(Unauthorized):
            await authenticator.identify(token(SECRET, "HS256", **claims))
