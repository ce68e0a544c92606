"""The README's first clients do what it says of them, as they stand there."""

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
NPM = ROOT / "gateway/src/parley/gateway/web/node_modules"


def example(language: str, stack: Stack, bob: str) -> str:
    """The section's code in a language, with the addresses of the tests."""
    section = re.search(r"### A first client\n(.*?)\n### ", (ROOT / "README.md").read_text(), re.S)
    assert section is not None
    code = re.search(rf"```{language}\n(.*?)```", section[1], re.S)
    assert code is not None
    return code[1].replace("http://localhost:8080", stack.url).replace('"bob"', f'"{bob}"')


@asynccontextmanager
async def running(token: str, *command: str | Path) -> AsyncIterator[list[str]]:
    """A program and the lines that it prints, until it is of no more use."""
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
        # node is the child of what starts it, and would outlive that.
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        await program.wait()
        await reading


async def test_what_one_says_in_javascript_the_other_hears_in_python(
    users: ChatUsers, stack: Stack, tmp_path: Path
) -> None:
    alice, bob = users.user("alice"), users.user("bob")
    (tmp_path / "node_modules").symlink_to(NPM)
    (tmp_path / "alice.mjs").write_text(example("js", stack, bob.id))
    (tmp_path / "bob.py").write_text(example("python", stack, bob.id))
    greeting = f"1 {alice.id.title()} hello"

    async with (
        running(bob.token, sys.executable, tmp_path / "bob.py") as heard,
        running(alice.token, NODE, tmp_path / "alice.mjs") as said,
    ):
        await eventually(lambda: greeting in said and "  success: true," in said)
        await eventually(lambda: greeting in heard)
    async with running(bob.token, sys.executable, tmp_path / "bob.py") as heard:
        await eventually(lambda: heard == [greeting])


async def test_the_commands_answer(users: ChatUsers, stack: Stack) -> None:
    first, *commands = example("sh", stack, users.user("bob").id).replace("\\\n", "").splitlines()
    assert first == "TOKEN=$(make -s token USER=alice)"
    asked = [asking(command.replace("$TOKEN", users.user("alice").token)) for command in commands]
    async with aiohttp.ClientSession() as http:
        answers = [await answer(http, each) for each in asked]
    assert answers == [200, 201, 201, 200]


def asking(command: str) -> argparse.Namespace:
    """What a curl command asks: this machine may have none."""
    curl = argparse.ArgumentParser()
    curl.add_argument("-H", dest="headers", action="append", type=lambda header: header.split(": "))
    curl.add_argument("-d", dest="body")
    curl.add_argument("-F", dest="part", type=lambda part: part.split("=@"))
    curl.add_argument("url")
    return curl.parse_args(shlex.split(command)[1:])


async def answer(http: aiohttp.ClientSession, asked: argparse.Namespace) -> int:
    """The status that a command is answered with."""
    body: str | aiohttp.FormData | None = asked.body
    if asked.part:
        name, file = asked.part
        body = aiohttp.FormData()
        body.add_field(name, (ROOT / file).read_bytes(), filename=file)
    method = "POST" if body else "GET"
    async with http.request(method, asked.url, headers=dict(asked.headers), data=body) as told:
        return told.status
