"""Issuers rotate their signing keys without a restart of the gateways."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clients.chat import Socket, eventually
from clients.issuer import Issuer, ec_key, jwk, rsa_key, signed
from clients.raw import request
from clients.tokens import assert_accepted, assert_closed, assert_refused
from parley.stack import Stack

REFRESH_SECONDS = 2.0
REFETCH_SECONDS = 10.0
OLD, NEW, EVIL = rsa_key(), ec_key(), rsa_key()


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
async def keyed(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Two gateways that accept the issuer's tokens."""
    settings = {"JWT_JWKS_URL": issuer.url, "JWT_JWKS_SECONDS": str(REFRESH_SECONDS), "RATE_LIMITS": "off"}
    stack = Stack(tmp_path_factory.mktemp("keyed"), gateways=2, workers=1, settings=settings)
    await asyncio.to_thread(stack.up)
    yield stack
    await asyncio.to_thread(stack.down)


@pytest.fixture(autouse=True)
async def published(issuer: Issuer, keyed: Stack) -> None:
    """Have all gateways know the old key and no other."""
    issuer.keys, issuer.status = [jwk(OLD, "old", alg="RS256")], 200
    issuer.answering.set()
    for url in keyed.gateway_urls:
        await eventually(lambda url=url: answers(url, 200, signed(OLD, "RS256", "old")))
        await eventually(lambda url=url: answers(url, 401, signed(NEW, "ES256", "new")))


async def answers(url: str, status: int, token: str) -> bool:
    """Tell whether a gateway answers a token with this status."""
    answer = await request(url, "GET", "/chats/conversations", Authorization=f"Bearer {token}")
    return answer.status == status


async def enter(url: str, token: str) -> Socket:
    return await Socket(url, {"token": token}, ["websocket"]).connect()


async def test_a_new_key_is_accepted_and_an_old_one_dropped_while_sockets_live(
    issuer: Issuer, keyed: Stack
) -> None:
    old, new = signed(OLD, "RS256", "old"), signed(NEW, "ES256", "new")
    before = [await enter(url, old) for url in keyed.gateway_urls]

    issuer.keys = [jwk(OLD, "old"), jwk(NEW, "new")]
    for url in keyed.gateway_urls:
        await eventually(lambda url=url: answers(url, 200, new), REFETCH_SECONDS)
        await assert_accepted(url, old)
    after = [await enter(url, new) for url in keyed.gateway_urls]
    renewed, *rest = before
    await renewed.call_ok("reauthenticate", {"token": new})

    issuer.keys = [jwk(NEW, "new")]
    since = time.monotonic() + REFRESH_SECONDS
    await asyncio.gather(*(assert_closed(socket, since) for socket in rest))
    for url in keyed.gateway_urls:
        # Each gateway refreshes its keys at its own time.
        await eventually(lambda url=url: answers(url, 401, old), 2 * REFRESH_SECONDS)
        await assert_refused(url, old)
        await assert_accepted(url, new)
    for socket in (renewed, *after):
        await socket.call_ok("getOnlineUsers")
        await socket.close()


@pytest.mark.parametrize("how", ["it fails", "it hangs"])
async def test_tokens_with_known_keys_are_accepted_while_the_issuer_is_away(
    how: str, issuer: Issuer, keyed: Stack
) -> None:
    token = signed(OLD, "RS256", "old")
    sockets = [await enter(url, token) for url in keyed.gateway_urls]
    if how == "it hangs":
        issuer.answering.clear()
    issuer.status, asked = 500, issuer.requests
    await eventually(lambda: issuer.requests >= asked + 4)

    for url in keyed.gateway_urls:
        stranger = asyncio.create_task(answers(url, 503, signed(EVIL, "RS256", "strange")))
        async with asyncio.timeout(1.0):
            await assert_accepted(url, token)
        await stranger
    for socket in sockets:
        await socket.call_ok("getOnlineUsers")
        await socket.close()


async def test_random_key_ids_do_not_flood_the_issuer(issuer: Issuer, keyed: Stack) -> None:
    asked, begun = issuer.requests, time.monotonic()
    for number in range(100):
        assert await answers(keyed.url, 401, signed(EVIL, "RS256", f"random {number}"))

    periods = 1 + (time.monotonic() - begun) / REFRESH_SECONDS
    assert issuer.requests - asked <= 2 * (periods + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda stack: signed(stack.jwt_secret, "HS256", "old"), id="the secret"),
        pytest.param(lambda _: signed("", "none", "old"), id="none"),
        pytest.param(lambda _: signed(EVIL, "RS256", "old"), id="another key"),
        pytest.param(lambda _: signed(NEW, "ES256", "old"), id="another kind of key"),
    ],
)
async def test_a_socket_is_refused_with_a_token_signed_by(wrong: Any, keyed: Stack) -> None:
    await assert_refused(keyed.url, wrong(keyed))
