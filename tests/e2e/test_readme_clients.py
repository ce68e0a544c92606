"""The first clients of README.md and gateway/PROTOCOLS.md work as printed."""

import argparse
import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from clients.chat import ChatUsers, eventually
from clients.javascript import NODE
from parley.stack import Stack

ROOT = Path(__file__).parents[2]
PLACES = {
    "sh": ("README.md", "A first client"),
    "js": ("README.md", "A first client"),
    "python": ("gateway/PROTOCOLS.md", "Reconnecting"),
}
NPM = ROOT / "gateway/src/parley/gateway/web/node_modules"


def example(language: str, stack: Stack, bob: str) -> str:
    """Return the page's code in a language, with the test stack's address."""
    page, heading = PLACES[language]
    section = re.search(rf"\n## {heading}\n(.*?)\n## ", (ROOT / page).read_text(), re.S)
    assert section is not None
    code = re.search(rf"```{language}\n(.*?)```", section[1], re.S)
    assert code is not None
    return code[1].replace("http://localhost:8080", stack.url).replace('"bob"', f'"{bob}"')


@asynccontextmanager
async def running(token: str, *command: str | Path) -> AsyncIterator[list[str]]:
    """Run a program until the block ends, and yield the lines that it prints."""
    pipe, together = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    environment = {**os.environ, "TOKEN": token}
    program = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=pipe, stderr=together, start_new_session=True
    )
    lines: list[str] = []

    async def read() -> None:
        assert program.stdout is not None
        while line := await program.stdout.readline():
            lines.append(line.decode().rstrip())

    reading = asyncio.create_task(read())
    try:
        yield lines
    finally:
        # `node` is a launcher: killing it alone would leave the actual process running.
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        await program.wait()
        await reading


async def test_a_message_sent_by_the_javascript_client_reaches_the_python_client(
    users: ChatUsers, stack: Stack, tmp_path: Path
) -> None:
    alice, bob = users.user("alice"), users.user("bob")
    (tmp_path / "node_modules").symlink_to(NPM)
    (tmp_path / "alice.mjs").write_text(example("js", stack, bob.id))
    (tmp_path / "bob.py").write_text(example("python", stack, bob.id))
    greeting = f"1 {alice.id.title()} hello"

    async with (
        running(bob.token, sys.executable, tmp_path / "bob.py") as received,
        running(alice.token, NODE, tmp_path / "alice.mjs") as sent,
    ):
        await eventually(lambda: greeting in sent and "  success: true," in sent)
        await eventually(lambda: greeting in received)
    async with running(bob.token, sys.executable, tmp_path / "bob.py") as received:
        await eventually(lambda: received == [greeting])


async def test_the_curl_commands_succeed(users: ChatUsers, stack: Stack) -> None:
    first, *commands = example("sh", stack, users.user("bob").id).replace("\\\n", "").splitlines()
    assert first == "TOKEN=$(make -s token USER=alice)"
    requests = [parsed(command.replace("$TOKEN", users.user("alice").token)) for command in commands]
    async with aiohttp.ClientSession() as http:
        answers = [await status_of(http, each) for each in requests]
    assert answers == [200, 201, 201, 200]


def parsed(command: str) -> argparse.Namespace:
    """Return the options of a curl command; the test machine may have no curl."""
    curl = argparse.ArgumentParser()
    curl.add_argument("-H", dest="headers", action="append", type=lambda header: header.split(": "))
    curl.add_argument("-d", dest="body")
    curl.add_argument("-F", dest="part", type=lambda part: part.split("=@"))
    curl.add_argument("url")
    return curl.parse_args(shlex.split(command)[1:])


async def status_of(http: aiohttp.ClientSession, request: argparse.Namespace) -> int:
    """Send a request and return the status of its response."""
    body: str | aiohttp.FormData | None = request.body
    if request.part:
        name, file = request.part
        body = aiohttp.FormData()
        body.add_field(name, (ROOT / file).read_bytes(), filename=file)
    method = "POST" if body else "GET"
    async with http.request(method, request.url, headers=dict(request.headers), data=body) as response:
        return response.status
