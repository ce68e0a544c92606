"""SIGHUP reloads the signing keys and the log level of running services; sockets stay connected."""

import asyncio
import json
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients.chat import Socket, eventually, token
from clients.issuer import Issuer, jwk, rsa_key, signed
from clients.tokens import assert_accepted, assert_closed, assert_refused
from parley.stack import Stack

SERVICES = ("gateway-1", "gateway-2", "worker-1")
FIRST, SECOND, THIRD = (secrets.token_urlsafe(48) for _ in range(3))
RELOADED, REFUSED = "shared.settings.reloaded", "shared.settings.reload_refused"
WEAK = "too short"
"""Not a secret that a gateway takes."""


@dataclass(frozen=True)
class Files:
    """The files that hold the settings of the services."""

    secret: Path
    previous: Path
    level: Path
    jwks: Path

    def put(self, name: str, text: str | None) -> None:
        """Write a file, or remove it."""
        file: Path = getattr(self, name)
        file.unlink() if text is None else file.write_text(text)

    def reset(self) -> None:
        self.secret.write_text(FIRST)
        self.previous.write_text("")
        self.level.write_text("info\n")
        self.jwks.write_text("")


@pytest.fixture(scope="module")
async def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    directory = tmp_path_factory.mktemp("settings")
    files = Files(*(directory / name for name in ("secret", "previous", "level", "jwks")))
    files.reset()
    return files


@pytest.fixture(scope="module")
async def reloaded(files: Files, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Two gateways and a worker whose secret and log level are in files."""
    settings = {
        "JWT_SECRET_FILE": str(files.secret),
        "JWT_SECRET_PREVIOUS_FILE": str(files.previous),
        "JWT_JWKS_URL_FILE": str(files.jwks),
        "LOG_LEVEL_FILE": str(files.level),
        "RATE_LIMITS": "off",
    }
    stack = Stack(tmp_path_factory.mktemp("reloaded"), gateways=2, workers=1, settings=settings)
    await asyncio.to_thread(stack.up)
    yield stack
    await asyncio.to_thread(stack.down)


@pytest.fixture(autouse=True)
async def as_at_the_start(files: Files, reloaded: Stack) -> None:
    """Have all services use the first secret and log level."""
    files.reset()
    await reload(reloaded)


async def reload(stack: Stack, names: Sequence[str] = SERVICES) -> dict[str, list[dict[str, Any]]]:
    """Send SIGHUP to each service; return the events of the reload that each has logged."""
    starts = {name: stack.log(name).stat().st_size for name in names}
    for name in names:
        stack.signal(name, signal.SIGHUP)
    return {name: await eventually(lambda name=name: _events(stack, name, starts[name])) for name in names}


def _events(stack: Stack, name: str, start: int) -> list[dict[str, Any]]:
    lines = stack.log(name).read_bytes()[start:].decode().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    found = [each for each in events if each["event"].startswith("shared.settings.")]
    return found if {each["event"] for each in found} & {RELOADED, REFUSED} else []


async def connect(stack: Stack, secret: str) -> list[Socket]:
    """Connect a socket to each gateway, with a token that the secret signs."""
    return [
        await Socket(url, {"token": token(secret, "ann")}, ["websocket"]).connect()
        for url in stack.gateway_urls
    ]


async def close(*sockets: Socket) -> None:
    for socket in sockets:
        await socket.close()


async def test_a_secret_is_replaced_without_cutting_a_socket(files: Files, reloaded: Stack) -> None:
    before = await connect(reloaded, FIRST)
    files.secret.write_text(SECOND)
    files.previous.write_text(FIRST)
    logged = await reload(reloaded)
    for name in SERVICES[:2]:
        (line,) = logged[name]
        assert (line["event"], line["changed"]) == (RELOADED, ["JWT_SECRET", "JWT_SECRET_PREVIOUS"])
    after = await connect(reloaded, SECOND)
    for url in reloaded.gateway_urls:
        await assert_accepted(url, token(FIRST, "bob"))
        await assert_accepted(url, token(SECOND, "bob"))
        await assert_refused(url, token(THIRD, "bob"))
    for socket in (*before, *after):
        await socket.call_ok("getOnlineUsers")
    files.previous.write_text("")
    await reload(reloaded)
    await asyncio.gather(*map(assert_closed, before))
    for url in reloaded.gateway_urls:
        await assert_refused(url, token(FIRST, "bob"))
    for socket in after:
        await socket.call_ok("getOnlineUsers")
    await close(*before, *after)
    logs = b"".join(reloaded.log(name).read_bytes() for name in SERVICES).decode()
    assert not [secret for secret in (FIRST, SECOND, THIRD) if secret in logs]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("secret", WEAK, "JWT_SECRET is shorter than 32 bytes"),
        ("secret", "", "JWT_SECRET is not set"),
        ("previous", WEAK, "JWT_SECRET_PREVIOUS is shorter than 32 bytes"),
        ("level", "loud", "LOG_LEVEL has an invalid value"),
        ("jwks", "http://127.0.0.1:9/keys", "The token signing keys cannot be fetched."),
        ("level", None, "LOG_LEVEL_FILE names a file that cannot be read"),
    ],
)
async def test_a_wrong_value_keeps_the_former_one_and_is_one_error(
    name: str, text: str | None, reason: str, files: Files, reloaded: Stack
) -> None:
    sockets = await connect(reloaded, FIRST)
    files.put(name, text)
    logged = await reload(reloaded)
    refused = [each for each in logged["gateway-1"] if each["event"] == REFUSED]
    assert [each["level"] for each in refused] == ["error"]
    assert refused[0]["reason"].startswith(reason)
    assert WEAK not in json.dumps(logged)
    for url in reloaded.gateway_urls:
        await assert_accepted(url, token(FIRST, "bob"))
    for socket in sockets:
        await socket.call_ok("getOnlineUsers")
    await close(*sockets)


async def test_the_log_level_is_changed(files: Files, reloaded: Stack) -> None:
    files.level.write_text("debug")
    logged = await reload(reloaded)
    assert all(lines[-1]["changed"] == ["LOG_LEVEL"] for lines in logged.values())
    files.level.write_text("error")
    files.jwks.write_text("http://127.0.0.1:9/keys")
    logged = await reload(reloaded, SERVICES[:2])
    for lines in logged.values():
        assert [each["event"] for each in lines] == [REFUSED]


async def test_tokens_move_from_a_secret_to_published_keys(files: Files, reloaded: Stack) -> None:
    key = rsa_key()
    async with Issuer() as issuer:
        issuer.keys = [jwk(key, "one")]
        by_secret = await connect(reloaded, FIRST)
        files.jwks.write_text(issuer.url)
        await reload(reloaded)
        await asyncio.gather(*map(assert_closed, by_secret))
        for url in reloaded.gateway_urls:
            await assert_accepted(url, signed(key, "RS256", "one"))
            await assert_refused(url, token(FIRST, "bob"))
        await close(*by_secret)
