"""Clients that stop reading, and clients whose tokens become invalid."""

import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clients.chat import User, token
from clients.reconnecting_client import ReconnectingClient
from clients.stalled_client import StalledClient
from faults.fault_run import FaultRun, in_thread
from faults.traffic import ABSENT, SPEAKERS, Traffic

LONG_PADDING = "x" * 7_900
BACKLOG_BYTES = 1 << 20
KERNEL_BYTES = 8 << 20
"""Bytes that the kernels of both ends may hold besides, at most."""

MAX_GROWTH_BYTES = 32 << 20
TOKEN_SECONDS = 4.0
CLOSED_SECONDS = 5.0


async def stops_reading(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        gateway = run.stack.pid("gateway-1")
        stalled = await in_thread(StalledClient, run.stack.gateway_urls[0], run.users.user(ABSENT))
        memory = resident(gateway)
        for group in traffic.groups:
            await in_thread(stalled.join, group)
        traffic.load.padding = LONG_PADDING
        before = len(traffic.accepted)
        try:
            await run.wait_for("the client is cut off", lambda: not stalled.established, 30)
        finally:
            traffic.load.padding = ""
            stalled.close()
        sent = (len(traffic.accepted) - before) * len(LONG_PADDING)
        grown = resident(gateway) - memory
        run.report(f"{sent / 1e6:.1f} MB were sent, the gateway has grown by {grown / 1e6:.1f} MB")
        run.expect(BACKLOG_BYTES < sent < BACKLOG_BYTES + KERNEL_BYTES, f"cut off after {sent / 1e6:.1f} MB")
        run.expect(grown < MAX_GROWTH_BYTES, f"the gateway has grown by {grown / 1e6:.1f} MB")
        await run.wait_for_recovery(traffic)
        listener = traffic.listeners[0]
        await run.wait_for(
            "its user is offline", lambda: listener.status.get(run.users.user(ABSENT).id) == "offline", 10
        )


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def token_expires(run: FaultRun) -> None:
    """Let the tokens of every other speaker expire; the speakers return with new ones."""
    async with run.traffic() as traffic:
        expiry = int(time.time() + TOKEN_SECONDS)
        affected = await reconnect_with_tokens(run, traffic, exp=expiry)
        await wait_until_closed(run, affected, expiry - time.time() + CLOSED_SECONDS)
        await run.wait_for_recovery(traffic)


async def token_revoked(run: FaultRun) -> None:
    """Revoke the tokens of every other speaker at one gateway; the speakers return with new ones."""
    async with run.traffic() as traffic:
        token_id = uuid.uuid4().hex
        affected = await reconnect_with_tokens(run, traffic, jti=token_id)
        status, answer = await run.users.user("admin", role="admin").rest(
            "POST", "/admin/revoke", {"jti": token_id}
        )
        assert status == 200, answer
        await wait_until_closed(run, affected, CLOSED_SECONDS)
        await run.wait_for_recovery(traffic)


async def reconnect_with_tokens(
    run: FaultRun, traffic: Traffic, **claims: Any
) -> dict[ReconnectingClient, User]:
    """Reconnect every other speaker with a token of these claims."""
    pairs = zip(traffic.speakers[::2], SPEAKERS[::2], strict=True)
    affected = {speaker: run.users.user(name) for speaker, name in pairs}
    for speaker, user in affected.items():
        user.token = token(run.users.secret, user.id, **claims)
        speaker.drop_connection()
    await run.wait_for_recovery(traffic)
    return affected


async def wait_until_closed(
    run: FaultRun, affected: Mapping[ReconnectingClient, User], within: float
) -> None:
    """Wait until the sockets are closed, and give their users valid tokens."""
    await run.wait_for(
        "the sockets are closed", lambda: all(speaker.disconnects > 1 for speaker in affected), within
    )
    for user in affected.values():
        user.token = token(run.users.secret, user.id)
