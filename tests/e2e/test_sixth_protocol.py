"""The example protocol of gateway/PROTOCOLS.md works beside the others."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
import socketio
from aiohttp import web

from clients.chat import ChatUsers, User, eventually
from clients.stacks import PARTITIONS
from parley.gateway.adapters.files import open_files
from parley.gateway.bootstrap import Gateway
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.settings import Settings
from parley.shared import mongo
from parley.stack import Stack

PAGE = Path(__file__).parents[2] / "gateway/PROTOCOLS.md"


def example() -> ClientProtocol:
    """Return the protocol that the page's code defines."""
    source = re.search(r"## Add a protocol\n.*?```python\n(.*?)```", PAGE.read_text(), re.S)
    assert source is not None
    module = ModuleType("desk")
    sys.modules["desk"] = module
    exec(compile(source[1], "PROTOCOLS.md", "exec"), module.__dict__)
    protocol: ClientProtocol = module.__dict__["DESK"]
    return protocol


@dataclass
class Desk:
    """A gateway with the example as its sixth protocol, and a user's socket that uses it."""

    url: str
    received: list[tuple[str, Any]]
    io: socketio.AsyncClient

    async def connect(self, user: User) -> None:
        async def on_event(event: str, payload: Any) -> None:
            self.received.append((event, payload))

        self.io.on("*", on_event, namespace="/desk")
        await self.io.connect(
            self.url, namespaces=["/desk"], auth={"token": user.token}, transports=["websocket"]
        )

    async def reply(self, ticket: str, words: str) -> Any:
        """Send a reply, again while the gateway, which has just started, cannot accept it yet."""
        answer: Any = None

        async def is_accepted() -> bool:
            nonlocal answer
            answer = await self.io.call("reply", {"ticket": ticket, "words": words}, namespace="/desk")
            assert answer["success"] or answer["error"]["retryable"], answer
            return bool(answer["success"])

        await eventually(is_accepted)
        return answer


@pytest.fixture
async def desk(stack: Stack) -> AsyncIterator[Desk]:
    settings = Settings(
        node_name="desk",
        jwt_secret=stack.jwt_secret,
        redis_url=stack.redis_url,
        rabbitmq_url=stack.rabbitmq_url,
        mongo_url=stack.mongo_url,
        drain_seconds=0,
        partitions=PARTITIONS.count,
    )
    async with AsyncExitStack() as parts:
        database = await parts.enter_async_context(mongo.connect(settings.mongo_url))
        files = await parts.enter_async_context(open_files(settings, database))
        gateway = Gateway(settings, database, files, (*PROTOCOLS, example()))
        runner = web.AppRunner(gateway.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        parts.push_async_callback(runner.cleanup)
        gateway.start()
        parts.push_async_callback(gateway.stop)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        io = socketio.AsyncClient(reconnection=False)
        yield Desk(f"http://127.0.0.1:{runner.addresses[0][1]}", [], io)
        await io.disconnect()


async def test_one_file_and_one_line_are_a_protocol(desk: Desk, users: ChatUsers) -> None:
    alice = await users.user("alice").socket()
    ticket = await users.group(alice, "bob")
    await alice.call_ok("joinRoom", {"conversationId": ticket})
    await desk.connect(users.user("bob"))

    asked = await alice.send(ticket, "It does not start.")
    await eventually(lambda: desk.received)
    answer = await desk.reply(ticket, "Is it on?")
    await eventually(lambda: len(desk.received) == 2 and len(alice.messages(ticket)) == 2)

    assert [m["_id"] for m in alice.messages(ticket)] == [asked["_id"], answer["id"]]
    assert [m["content"] for m in alice.messages(ticket)] == ["It does not start.", "Is it on?"]
    reported = [(event, p["ticket"], p["number"], p["by"], p["words"]) for event, p in desk.received]
    names = [users.user(name).id.title() for name in ("alice", "bob")]
    assert reported == [
        ("replied", ticket, 1, names[0], "It does not start."),
        ("replied", ticket, 2, names[1], "Is it on?"),
    ]
    headers = {"Authorization": f"Bearer {users.user('bob').token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{desk.url}/tickets/{ticket}") as page,
    ):
        assert await page.json() == [payload for _, payload in desk.received]


async def test_it_refuses_as_the_others_do(desk: Desk, users: ChatUsers) -> None:
    await desk.connect(users.user("bob"))
    for event, payload, code in (
        ("reply", {"ticket": "nowhere", "words": "hello?"}, "NOT_FOUND"),
        ("reply", {"ticket": "nowhere"}, "INVALID"),
        ("sendMessage", {"conversationId": "nowhere", "content": "hello?"}, "UNKNOWN_EVENT"),
    ):
        answer = await desk.io.call(event, payload, namespace="/desk")
        assert (answer["success"], answer["error"]["code"]) == (False, code)
