"""An issuer of tokens: a real HTTP server of a key set that changes, fails and hangs."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Self

import jwt
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

Json = dict[str, Any]


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def jwk(key: Any, kid: str, **more: Any) -> Json:
    """Return the public JWK of a key."""
    kind: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


def signed(key: Any, algorithm: str, kid: str | None, **claims: Any) -> str:
    """Return a token of alice, valid for an hour."""
    known = {"sub": "alice", "exp": int(time.time()) + 3600, **claims}
    return jwt.encode(known, key, algorithm, headers={"kid": kid} if kid is not None else {})


class Issuer:
    """Publishes `keys`, or else the `body`; `requests` counts requests for them."""

    def __init__(self) -> None:
        self.keys: list[Json] = []
        self.body: bytes | None = None
        self.status = 200
        self.requests = 0
        self.answering = asyncio.Event()
        self.answering.set()
        app = web.Application()
        app.router.add_get("/keys", self._answer)
        self._server = TestServer(app)

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.answering.set()
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("/keys"))

    async def _answer(self, _request: web.Request) -> web.Response:
        self.requests += 1
        await self.answering.wait()
        body = orjson.dumps({"keys": self.keys}) if self.body is None else self.body
        return web.Response(body=body, status=self.status, content_type="application/json")


def without(fields: Mapping[str, Any], *names: str) -> Json:
    """Return an object without some of its fields."""
    return {name: each for name, each in fields.items() if name not in names}
