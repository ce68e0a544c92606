"""A gateway stops gracefully while its clients send many messages at once."""

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from clients.chat import NAMESPACE, ChatUsers, eventually
from clients.invariants import assert_numbered, assert_unread_counts
from clients.load_generator import Stopwatch
from clients.recording_clients import RecordingClient, RecordingClients
from clients.socketio_lean import LeanSocket
from parley.shared.mongo import Database
from parley.stack import Stack

SENDERS = [f"sender-{number}" for number in range(12)]
EXIT_SECONDS = 15.0
CLIENTS, SPREAD_SECONDS = 100, 10.0


async def test_a_stopping_gateway_stores_exactly_the_messages_that_it_acknowledges(
    fragile: Stack, users: ChatUsers, clients: RecordingClients, database: Database
) -> None:
    group = await clients.create_group(*SENDERS)
    senders = await clients.connect_all(SENDERS, fragile.gateway_urls[:1])
    stopping = fragile.pid("gateway-1")

    sending = [asyncio.create_task(send_until_closed(client, group)) for client in senders]
    await eventually(lambda: sum(len(client.sent[group]) for client in senders) > 500)
    fragile.signal("gateway-1", signal.SIGTERM)
    watch = Stopwatch()
    await asyncio.gather(*sending)
    await eventually(lambda: not _runs(stopping), EXIT_SECONDS)
    print(f"ended {watch.seconds:.1f} s after SIGTERM")

    async def everything_is_stored() -> bool:
        stored = {m["content"] async for m in database.messages.find({"conversationId": group})}
        return {content for client in senders for content in client.sent[group]} <= stored

    await eventually(everything_is_stored)
    messages = await database.messages.find({"conversationId": group}).sort("seq", 1).to_list(None)
    assert_numbered(messages)
    for client in senders:
        stored = [m["content"] for m in messages if m["senderId"] == client.user_id]
        # A stored message without an acknowledgement would be sent again by its sender.
        assert stored == client.sent[group]
        assert len(set(stored)) == len(stored)
    await assert_unread_counts(database, users, group)


async def test_a_stopping_gateway_spreads_the_reconnects_of_its_clients(
    fragile: Stack, users: ChatUsers
) -> None:
    auth = {"token": users.user("ann").token}
    url = fragile.gateway_urls[0]
    sockets = [await LeanSocket.connect(url, NAMESPACE, auth, _ignore) for _ in range(CLIENTS)]
    stopping = fragile.pid("gateway-1")

    fragile.signal("gateway-1", signal.SIGTERM)
    watch = Stopwatch()
    left = await asyncio.gather(*(_seconds_until(socket.closed, watch) for socket in sockets))
    await eventually(lambda: not _runs(stopping), EXIT_SECONDS)

    print(f"{CLIENTS} clients left in {max(left):.1f} s; ended {watch.seconds:.1f} s after SIGTERM")
    assert max(Counter(map(int, left)).values()) < CLIENTS / 2
    assert max(left) < SPREAD_SECONDS


async def _seconds_until(closed: asyncio.Event, watch: Stopwatch) -> float:
    await asyncio.wait_for(closed.wait(), EXIT_SECONDS)
    return watch.seconds


def _ignore(_event: str, _payload: Any) -> None:
    """Ignore all events."""


async def send_until_closed(client: RecordingClient, group: str) -> None:
    """Send ten messages at a time until the socket is closed."""
    number = 0
    while True:
        sends = [client.send(group, f"{n} of {client.user_id}") for n in range(number, number + 10)]
        number += 10
        answers = await asyncio.gather(*sends, return_exceptions=True)
        if any(isinstance(answer, BaseException) or not answer["success"] for answer in answers):
            return


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
