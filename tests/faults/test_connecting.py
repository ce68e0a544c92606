"""Clients that connect while a server is away are admitted when it is back, by themselves."""

import asyncio

import pytest

from clients.chat import ChatUsers
from clients.javascript import JsSocket, Program
from parley.stack import Stack


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("server", ["redis", "mongodb"])
async def test_a_client_that_connects_during_an_outage_is_admitted_after_it(
    server: str, transport: str, fragile: Stack, users: ChatUsers
) -> None:
    alice = users.user("alice")
    program = await Program.start()
    await asyncio.to_thread(fragile.stop, server)

    options = {"auth": {"token": alice.token}, "transports": [transport], "reconnectionDelay": 100}
    await program.command("open", alice.id, url=f"{fragile.url}/chat", options=options)
    socket = JsSocket(program, alice.id)
    await socket.wait_for("open", times=2)
    await asyncio.to_thread(fragile.start, server)

    await socket.wait_for("connect")
    assert socket.events("connect_error") == []
    await program.stop()
