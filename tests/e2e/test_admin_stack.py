"""The admin page of a native stack: started with it, and after a scale-out without a restart."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from clients.chat import eventually, token
from clients.operators import Operator
from parley.stack import Stack
from parley.stack.ports import free_base

pytestmark = pytest.mark.slow  # A stack of its own, and commands.

SECONDS = 15.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("admin")
    with Stack(directory, gateways=1, workers=1, admin_port=free_base()) as stack:
        yield stack


def pid(stack: Stack) -> int:
    return {part.name: part.pid for part in stack.status()}["admin"]


async def test_the_page_follows_a_scale_out_without_a_restart(stack: Stack) -> None:
    assert stack.admin_url is not None
    headers = {"Authorization": f"Bearer {token(stack.jwt_secret, 'root', role='admin')}"}
    before = pid(stack)
    async with aiohttp.ClientSession(headers=headers) as http:

        async def states() -> list[str]:
            async with http.get(f"{stack.admin_url}/api/overview") as answer:
                assert answer.status == 200, await answer.text()
                return [each["state"] for each in (await answer.json())["gateways"]]

        await eventually(lambda: _equals(states(), ["ready"]))
        await asyncio.to_thread(stack.scale, gateways=2)
        await eventually(lambda: _equals(states(), ["ready", "ready"]))
        async with http.get(stack.admin_url.removesuffix("/admin"), allow_redirects=True) as page:
            assert (page.status, page.content_type, str(page.url)) == (200, "text/html", stack.admin_url)
    assert pid(stack) == before
    assert stack.log("admin").read_text().count("admin.look.began") == 1


async def _equals(found: object, wanted: list[str]) -> bool:
    return await found == wanted  # type: ignore[misc, no-any-return]


def test_the_server_has_no_secret_of_tokens_and_is_small(stack: Stack) -> None:
    environment = Path(f"/proc/{pid(stack)}/environ").read_bytes()
    assert stack.jwt_secret.encode() not in environment
    resident = int(Path(f"/proc/{pid(stack)}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert resident < 160 * 1024 * 1024


async def test_the_command_serves_until_it_is_stopped(stack: Stack, tmp_path: Path) -> None:
    operator = Operator(stack, tmp_path)
    process = await operator.start("admin", "--port", "0")
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), SECONDS)).decode()
    assert '"event": "admin.started"' in line
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0


async def test_a_port_that_is_in_use_is_named_in_a_sentence(stack: Stack, tmp_path: Path) -> None:
    assert stack.admin_url is not None
    port = stack.admin_url.rpartition(":")[2].partition("/")[0]
    answer = await Operator(stack, tmp_path).run("admin", "--port", port)
    assert answer.code == 2
    assert answer.err.startswith(f"parley: Cannot listen on 127.0.0.1:{port} (")
