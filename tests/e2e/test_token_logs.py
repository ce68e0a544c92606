"""No log contains a secret: neither tokens nor the ids of polling sessions."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import socketio
from yarl import URL

from clients.chat import NAMESPACE, ChatUsers, Socket, eventually
from clients.logs import files_of, logs_of
from clients.raw import RawSocket, request
from clients.tokens import assert_closed, fresh
from parley.stack import Stack

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway-1", "gateway-2", "worker-1")


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with its most verbose logs."""
    settings = {"LOG_LEVEL": "debug", "RATE_EVENTS": "5:20", "MAX_SOCKETS_OF_USER": "20"}
    with Stack(tmp_path_factory.mktemp("talkative"), gateways=2, workers=1, settings=settings) as stack:
        yield stack


@pytest.fixture
async def users(talkative: Stack) -> AsyncIterator[ChatUsers]:
    users = ChatUsers(talkative.url, talkative.jwt_secret)
    yield users
    await users.close()


class Secrets:
    """The secrets that no log file of a stack may contain."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._of: dict[str, bytes] = {}

    def token(self, label: str, user_id: str, seconds: float = 3600) -> str:
        """Make a secret token."""
        made = fresh(self._stack.jwt_secret, user_id, seconds)
        _, claims, signature = made.split(".")
        self.add(f"the signature of {label}", signature)
        self.add(f"the claims of {label}", claims)
        return made

    def add(self, label: str, secret: str) -> str:
        """Make another secret."""
        assert len(secret) >= 16
        self._of[label] = secret.encode()
        return secret

    def ids_of(self, label: str, io: socketio.AsyncClient) -> None:
        """Add the ids of a connected client."""
        self.add(f"the Engine.IO id of {label}", str(io.eio.sid))
        self.add(f"the Socket.IO id of {label}", str(io.get_sid(NAMESPACE)))

    def found(self) -> list[str]:
        """Return the secrets found, by file."""
        files = files_of(self._stack)
        assert {f"{name}.log" for name in (*SERVICES, "nginx-access", "rabbitmq")} <= {p.name for p in files}
        return [
            f"{label} in {p.name}"
            for p in files
            for text in [p.read_bytes()]
            for label, secret in self._of.items()
            if secret in text
        ]


async def test_no_log_has_a_token_or_an_id(users: ChatUsers, talkative: Stack) -> None:
    secrets = Secrets(talkative)
    secrets.add("the secret itself", talkative.jwt_secret)
    alice = users.user("alice")
    for transport in ("websocket", "polling"):
        for where in ("auth", "header", "query"):
            await visit(secrets, talkative, f"{where} by {transport}", alice.id, where, transport)
    await visit_by_upgrade(secrets, talkative, alice.id)
    await do_wrong(secrets, talkative, alice.id)
    await expire(secrets, talkative, alice.id)
    await break_the_protocol(secrets, talkative, alice.id)
    await do_too_much(secrets, talkative, alice.id)
    await break_http(secrets, talkative, alice.id)

    await logs_of(talkative, f"?token={secrets.token('the last request', alice.id)}")
    assert secrets.found() == []


async def test_the_search_finds_a_secret_in_a_log(users: ChatUsers, talkative: Stack) -> None:
    secrets = Secrets(talkative)
    found = secrets.add("a path", f"/in-the-path-{uuid.uuid4().hex}")

    await request(talkative.url, "GET", found)

    await eventually(lambda: secrets.found() == ["a path in nginx-access.log"])


async def visit(secrets: Secrets, stack: Stack, label: str, user_id: str, where: str, transport: str) -> None:
    """Connect, send events, use REST and disconnect."""
    token = secrets.token(label, user_id)
    io = socketio.AsyncClient(reconnection=False)
    await io.connect(
        f"{stack.url}?token={token}" if where == "query" else stack.url,
        headers={"Authorization": f"Bearer {token}"} if where == "header" else {},
        auth={"token": token} if where == "auth" else None,
        namespaces=[NAMESPACE],
        transports=[transport],
    )
    secrets.ids_of(label, io)
    assert (await io.call("getOnlineUsers", namespace=NAMESPACE))["success"] is True
    renewed = {"token": secrets.token(f"the other token of {label}", user_id)}
    assert (await io.call("reauthenticate", renewed, namespace=NAMESPACE))["success"] is True
    if where == "query":
        answer = await request(stack.url, "GET", f"/chats/conversations?token={token}")
    else:
        answer = await request(stack.url, "GET", "/chats/conversations", Authorization=f"Bearer {token}")
    assert answer.status == 200
    await leave(io)


async def visit_by_upgrade(secrets: Secrets, stack: Stack, user_id: str) -> None:
    """Connect as browsers do: by polling, then by WebSocket under the same id."""
    token = secrets.token("an upgrade", user_id)
    io = socketio.AsyncClient(reconnection=False)
    await io.connect(stack.url, auth={"token": token}, namespaces=[NAMESPACE])
    await eventually(lambda: io.transport() == "websocket")
    secrets.ids_of("an upgrade", io)
    await leave(io)


async def leave(io: socketio.AsyncClient) -> None:
    """Disconnect, and close the HTTP session that the client may leave open."""
    await io.disconnect()
    if io.eio.http is not None:
        await io.eio.http.close()


async def do_wrong(secrets: Secrets, stack: Stack, user_id: str) -> None:
    """Send tokens and ids that are refused."""
    token = secrets.token("an expired visit", user_id, -5)
    for path in (f"/chats/conversations?token={token}", f"/nowhere?token={token}", f"/%zz?token={token}"):
        await request(stack.url, "GET", path)
    await request(stack.url, "POST", f"/admin/revoke?token={token}", "not json")
    for node in ("gateway-1", "gateway-2", "gateway-9", "nowhere"):
        unknown = secrets.add(f"an id of {node}", f"{node}.{uuid.uuid4().hex}")
        for method in ("GET", "POST", "PUT"):
            path = f"/socket.io/?EIO=4&transport=polling&sid={unknown}&token={token}"
            await request(stack.url, method, path, "40" if method == "POST" else None)
    for query in (f"EIO=3&transport=polling&token={token}", f"EIO=4&transport=pigeon&token={token}"):
        await request(stack.url, "GET", f"/socket.io/?{query}")
    socket = Socket(f"{stack.url}?token={token}", {"token": token}, ["websocket"])
    with pytest.raises(socketio.exceptions.ConnectionError):
        await socket.connect()
    await socket.close()


async def expire(secrets: Secrets, stack: Stack, user_id: str) -> None:
    """Have sockets closed by the expiry of their tokens."""
    for transport in ("websocket", "polling"):
        token = secrets.token(f"a short visit by {transport}", user_id, 3)
        socket = await Socket(stack.url, {"token": token}, [transport]).connect()
        secrets.ids_of(f"a short visit by {transport}", socket.io)
        await assert_closed(socket)
        await socket.close()


async def break_the_protocol(secrets: Secrets, stack: Stack, user_id: str) -> None:
    """Send malformed frames that contain a token."""
    token = secrets.token("a broken frame", user_id)
    for frame in (
        f"40{NAMESPACE},{{{token}",
        f"4{token}",
        token,
        f"42{NAMESPACE},{token}",
        f'42{NAMESPACE},1["reauthenticate",{{"token":"{token}"',
        f'42{NAMESPACE},["{token}"]',
        f'45{token}-["x"]',
        f'99["{token}"]',
    ):
        raw = await (await RawSocket(stack.url).open()).connect_namespace({"token": token})
        greeting = await raw.wait_for("0{")
        secrets.add(f"the id of a broken frame {frame[:9]}", greeting.split('"')[3])
        await raw.send(frame)
        await asyncio.wait({asyncio.create_task(raw.wait_until_closed())}, timeout=0.5)
        await raw.close()


async def break_http(secrets: Secrets, stack: Stack, user_id: str) -> None:
    """Send malformed requests that contain a token, and malformed poll bodies."""
    token = secrets.token("a broken request", user_id)
    head, bearer = f"/chats/conversations?token={token}", f"Authorization: Bearer {token}"
    for url in (stack.url, *stack.gateway_urls):
        for text in (
            f"GET {head} HTTP/1.1\r\nHost: x\r\n{bearer}\x01",
            f"GET {head}\x7f HTTP/1.1\r\nHost: x",
            f"GET {head} HTTP/9.9\r\nHost: x",
            f"G@T {head} HTTP/1.1\r\nHost: x",
            f"GET http://[::1{head} HTTP/1.1\r\nHost: x",
            f"GET {head} HTTP/1.1\r\nHost: x\r\n{token}",
            f"POST {head} HTTP/1.1\r\nHost: x\r\n{bearer}\r\nContent-Length: -{token}",
            f"POST {head} HTTP/1.1\r\nHost: x\r\n{bearer}\r\nTransfer-Encoding: chunked\r\n\r\nzz{token}",
        ):
            await unreadable(url, text)
    # The client leaves a session of its own open when the server has closed the connection.
    async with aiohttp.ClientSession() as http:
        io = socketio.AsyncClient(reconnection=False, http_session=http)
        await io.connect(stack.url, auth={"token": token}, namespaces=[NAMESPACE], transports=["polling"])
        secrets.ids_of("a poll whose body is none", io)
        for body in (token, f"4{token}", f"b{token}", f"42{NAMESPACE},{token}", f"9{token}"):
            await request(stack.url, "POST", f"/socket.io/?EIO=4&transport=polling&sid={io.eio.sid}", body)
        await io.disconnect()


async def unreadable(url: str, text: str) -> None:
    """Send a malformed request and read the answer."""
    at = URL(url)
    reader, writer = await asyncio.open_connection(at.host, at.port)
    writer.write(f"{text}\r\n\r\n".encode("latin-1"))
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/")
    writer.close()
    await writer.wait_closed()


async def do_too_much(secrets: Secrets, stack: Stack, user_id: str) -> None:
    """Have a socket closed because it exceeds its rate limit for too long."""
    raw = await (await RawSocket(stack.url).open()).connect_namespace(
        {"token": secrets.token("haste", user_id)}
    )
    secrets.add("the id of haste", (await raw.wait_for("0{")).split('"')[3])
    with suppress(ConnectionError):
        for number in range(1_000):
            await raw.send(f'42{NAMESPACE},{number}["getOnlineUsers"]')
    await raw.wait_until_closed()
    await raw.close()


async def test_every_line_of_the_access_log_is_json(talkative: Stack) -> None:
    paths = ["/%ff", "/\xff", '/a"b\\c', "/ü", "/%00", "/a%0ab", "/%F0%9F%98%80", "*", "//x/../y"]
    for path in paths:
        await unreadable(talkative.url, f"GET {path}?a=1 HTTP/1.1\r\nHost: x\r\nConnection: close")

    lines = (await logs_of(talkative))["nginx-access.log"].decode("ascii").splitlines()

    asked = {json.loads(line)["path"] for line in lines}
    assert {"/%ff", "/", '/a"b\\c', "/a%0ab", "/%F0%9F%98%80", "//x/../y"} <= asked


def test_log_files_are_readable_by_their_owner_only(talkative: Stack) -> None:
    logs: Path = talkative.directory / "log"
    assert logs.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "config", ["deploy/src/parley/stack/templates/nginx.conf", "deploy/docker/nginx.conf"]
)
def test_nginx_logs_no_query(config: str) -> None:
    text = (ROOT / config).read_text()
    (written,) = re.findall(r"log_format parley(.*?);", text, re.S)
    (path,) = re.findall(r"^ *map \$request_uri \$path {[^}]*\"~(.*)\" \$requested;", text, re.M)

    logged = set(re.findall(r"\$(\w+)", written))
    assert "path" in logged
    requested = re.match(path.replace("?<", "?P<"), "/chats?token=secret?x")
    assert requested is not None
    assert requested["requested"] == "/chats"
    assert not logged & {
        "request",
        "uri",
        "request_uri",
        "args",
        "query_string",
        "http_referer",
        "http_authorization",
    }
    assert not any(name.startswith(("arg_", "cookie_", "request_body")) for name in logged)
    assert re.findall(r"^ *error_log (.+);$", text, re.M)[-1] == "stderr emerg"
