"""nginx, with the native stack's and the image's configuration: forwarded headers, errors, limits."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.chat import eventually
from clients.nginx_edge import KINDS, PROXY, RawAnswer, run_edge, send

STRANGER = "127.0.0.8"
MOST = 20


@pytest.fixture(scope="module", params=KINDS)
async def port(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[int]:
    settings = {
        "TRUSTED_PROXIES": f"{PROXY}, 10.1.0.0/16, 2001:db8::/32",
        "MAX_CONNECTIONS_OF_ADDRESS": str(MOST),
    }
    directory: Path = tmp_path_factory.mktemp("edge")
    async with run_edge(request.param, directory, settings) as port:
        yield port


def get(path: str = "/x", host: str = "chat.example", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n".encode()


async def seen(port: int, source: str, data: bytes) -> dict[str, str]:
    answer = await send(port, data, source)
    assert answer.status == 200, answer
    headers: dict[str, str] = json.loads(answer.body)["headers"]
    return headers


def is_refused(answer: RawAnswer, status: int, code: str, retryable: bool = False) -> bool:
    body: dict[str, Any] = json.loads(answer.body)
    assert "content-type: application/json" in answer.head.lower(), answer
    assert "nginx/" not in answer.head
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert body["error"]["message"]
    return (answer.status, body["error"]["code"], body["error"]["retryable"]) == (status, code, retryable)


FORWARDED = {
    "X_Forwarded_For": "203.0.113.9",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "front.example",
}


async def test_the_headers_of_a_trusted_proxy_are_passed_on(port: int) -> None:
    headers = await seen(port, PROXY, get(**FORWARDED))
    assert headers["X-Forwarded-For"] == "203.0.113.9"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-Host"] == headers["Host"] == "front.example"


async def test_the_headers_of_other_senders_are_replaced(port: int) -> None:
    headers = await seen(port, STRANGER, get(**FORWARDED))
    assert headers["X-Forwarded-For"] == STRANGER
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-Host"] == headers["Host"] == "chat.example"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9, 2001:db8::7, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:dead::9", "2001:dead::9"),
        ("nonsense", PROXY),
        ("", PROXY),
    ],
)
async def test_the_client_is_the_last_address_before_the_trusted_proxies(
    port: int, forwarded: str, address: str
) -> None:
    assert (await seen(port, PROXY, get(X_Forwarded_For=forwarded)))["X-Forwarded-For"] == address


async def test_a_proxy_that_names_no_scheme_and_no_host_changes_neither(port: int) -> None:
    headers = await seen(port, PROXY, get(X_Forwarded_For="203.0.113.9"))
    assert (headers["X-Forwarded-Proto"], headers["Host"]) == ("http", "chat.example")


@pytest.mark.parametrize(("named", "scheme"), [("HTTPS", "https"), ("Https,http", "https"), ("wss", "wss")])
async def test_a_proxy_may_spell_a_scheme_in_any_case(port: int, named: str, scheme: str) -> None:
    headers = await seen(port, PROXY, get(X_Forwarded_Proto=named))
    assert headers["X-Forwarded-Proto"].lower() == scheme


async def test_the_first_of_several_schemes_and_hosts_is_that_of_the_client(port: int) -> None:
    forwarded = {"X_Forwarded_Proto": "https, http", "X_Forwarded_Host": "front.example, inner.example"}
    headers = await seen(port, PROXY, get(**forwarded))
    assert (headers["X-Forwarded-Proto"], headers["Host"]) == ("https", "front.example")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "INVALID"),
        (b"GET /x HTTP/1.1\r\n\r\n", 400, "INVALID"),
        (b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "INVALID"),
        (b"GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400, "INVALID"),
        (b"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400, "INVALID"),
        (b"GET /x HTTP/2.0\r\nHost: h\r\n\r\n", 505, "INVALID"),
        (b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: strange\r\n\r\n", 501, "INVALID"),
        (get("/x?" + "x" * 17_000), 414, "TOO_LARGE"),
        (get(Token="x" * 17_000), 431, "TOO_LARGE"),
        (get(**{f"Token{number}": "x" * 12_000 for number in range(6)}), 431, "TOO_LARGE"),
        (get().replace(b"GET", b"TRACE"), 405, "METHOD_NOT_ALLOWED"),
        (get("/healthz"), 404, "NOT_FOUND"),
        (get("/.errors/internal"), 404, "NOT_FOUND"),
    ],
)
async def test_each_error_of_nginx_has_the_default_schema(
    port: int, data: bytes, status: int, code: str
) -> None:
    assert is_refused(await send(port, data), status, code)


@pytest.mark.parametrize(
    "data",
    [
        get(Authorization=f"Bearer {'x' * 10_000}", Cookie="y" * 9_000),
        get("/x?token=" + "x" * 12_000),
        b"GET /x HTTP/1.0\r\n\r\n",
        b"GET /x HTTP/1.0\r\nHost: h\r\n\r\n",
        b"GET http://h/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ],
)
async def test_long_headers_and_old_versions_are_taken(port: int, data: bytes) -> None:
    answer = await send(port, data)
    assert answer.status == 200
    assert json.loads(answer.body)["headers"]["Host"]


async def test_the_socket_s_path_is_not_redirected(port: int) -> None:
    for path in ("/socket.io", "/socket.io/"):
        answer = await send(port, get(f"{path}?EIO=4&transport=polling"))
        assert (answer.status, json.loads(answer.body)["path"]) == (200, f"{path}?EIO=4&transport=polling")


@asynccontextmanager
async def held(port: int, data: bytes, count: int, source: str) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Open connections that send these bytes and no more."""
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        writer.write(data)
        writers.append(writer)
    try:
        yield writers
    finally:
        for writer in writers:
            writer.close()


async def test_an_address_holds_only_so_many_connections(port: int) -> None:
    holder, proxied = "127.0.0.20", "203.0.113.20"
    waiting = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
    async with held(port, waiting, 2 * MOST, holder):

        async def is_full() -> bool:
            answer = await send(port, get(), holder)
            return answer.status != 200 and is_refused(answer, 429, "RATE_LIMITED", retryable=True)

        await eventually(is_full)
        assert (await send(port, get(), STRANGER)).status == 200
        # The connections of a trusted proxy count for its clients.
        behind = waiting.replace(b"Host: h", f"Host: h\r\nX-Forwarded-For: {proxied}".encode())
        async with held(port, behind, 2 * MOST, PROXY):

            async def is_full_for_the_client() -> bool:
                return (await send(port, get(X_Forwarded_For=proxied), PROXY)).status == 429

            await eventually(is_full_for_the_client)
            assert (await send(port, get(X_Forwarded_For="203.0.113.21"), PROXY)).status == 200

    async def is_free() -> bool:
        return (await send(port, get(), holder)).status == 200

    await eventually(is_free)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("2001:dead:1:2::{n:x}", "2001:dead:1:3::1"), ("2001:dead::{n:x}:0:0:1", "2001:dead:0:1::1")],
)
async def test_the_addresses_of_a_network_of_ipv6_share_their_connections(
    ours: str, theirs: str, port: int
) -> None:
    async def status(address: str) -> int:
        return (await send(port, get(X_Forwarded_For=address), PROXY)).status

    async with AsyncExitStack() as stack:
        for n in range(1, 2 * MOST):
            waiting = get(X_Forwarded_For=ours.format(n=n), Content_Length="5").replace(b"GET", b"POST")
            await stack.enter_async_context(held(port, waiting, 1, PROXY))

        async def is_full() -> bool:
            return await status(ours.format(n=99)) == 429

        await eventually(is_full)
        assert await status(theirs) == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_half_sent_headers_keep_others_out_only_for_the_time_of_a_header(
    kind: str, tmp_path: Path
) -> None:
    directives = {"worker_connections": "128", "client_header_timeout": "1s"}
    half = b"GET /x HTTP/1.1\r\nHost: chat.example\r\nX-Half"
    async with run_edge(kind, tmp_path, {}, directives) as port:
        # The first ones may be given up before the last ones are held.
        started = time.monotonic()
        async with held(port, half, 600, STRANGER):

            async def is_served() -> bool:
                try:
                    return (await send(port, get(), "127.0.0.21")).status == 200
                except (OSError, IndexError, TimeoutError):
                    return False

            await eventually(is_served, 10)
            # nginx cannot count these connections: they held all that it has.
            assert time.monotonic() - started > 0.5
