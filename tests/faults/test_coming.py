"""Clients that come while a server is away: they are let in when it is back, without doing anything."""

import asyncio

import pytest

from clients.chat import ChatUsers
from clients.javascript import JsSocket, Program
from parley.stack import Stack


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("server", ["redis", "mongodb"])
async def test_a_client_that_comes_while_a_server_is_away_is_let_in_later(
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
