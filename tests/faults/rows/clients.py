"""Clients that stop reading, and clients whose tokens hold no more."""

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

LONG = "x" * 7_900
BOUND = 1 << 20
KERNEL = 8 << 20
"""Bytes that both ends' kernels may hold besides, at most."""

GROWTH = 32 << 20
LASTS = 4.0
CLOSED_SECONDS = 5.0


async def stops_reading(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        gateway = run.stack.pid("gateway-1")
        stalled = await in_thread(StalledClient, run.stack.gateway_urls[0], run.users.user(ABSENT))
        memory = resident(gateway)
        for group in traffic.groups:
            await in_thread(stalled.join, group)
        traffic.load.padding = LONG
        before = len(traffic.accepted)
        try:
            await run.wait_for("it is cut off", lambda: not stalled.established, 30)
        finally:
            traffic.load.padding = ""
            stalled.close()
        said = (len(traffic.accepted) - before) * len(LONG)
        grown = resident(gateway) - memory
        run.report(f"{said / 1e6:.1f} MB were said, the gateway has grown by {grown / 1e6:.1f} MB")
        run.expect(BOUND < said < BOUND + KERNEL, f"cut off after {said / 1e6:.1f} MB")
        run.expect(grown < GROWTH, f"the gateway has grown by {grown / 1e6:.1f} MB")
        await run.wait_for_recovery(traffic)
        listener = traffic.listeners[0]
        await run.wait_for(
            "it is offline", lambda: listener.status.get(run.users.user(ABSENT).id) == "offline", 10
        )


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def token_expires(run: FaultRun) -> None:
    """Of every other speaker, who come back with new ones when they are closed."""
    async with run.traffic() as traffic:
        ends = int(time.time() + LASTS)
        theirs = await with_tokens(run, traffic, exp=ends)
        await are_closed(run, theirs, ends - time.time() + CLOSED_SECONDS)
        await run.wait_for_recovery(traffic)


async def token_revoked(run: FaultRun) -> None:
    """Likewise, by what is said to one gateway."""
    async with run.traffic() as traffic:
        stolen = uuid.uuid4().hex
        theirs = await with_tokens(run, traffic, jti=stolen)
        status, answer = await run.users.user("admin", role="admin").rest(
            "POST", "/admin/revoke", {"jti": stolen}
        )
        assert status == 200, answer
        await are_closed(run, theirs, CLOSED_SECONDS)
        await run.wait_for_recovery(traffic)


async def with_tokens(run: FaultRun, traffic: Traffic, **claims: Any) -> dict[ReconnectingClient, User]:
    """Every other speaker, come back with a token of these claims."""
    pairs = zip(traffic.speakers[::2], SPEAKERS[::2], strict=True)
    theirs = {speaker: run.users.user(name) for speaker, name in pairs}
    for speaker, user in theirs.items():
        user.token = token(run.users.secret, user.id, **claims)
        speaker.drop_connection()
    await run.wait_for_recovery(traffic)
    return theirs


async def are_closed(run: FaultRun, theirs: Mapping[ReconnectingClient, User], within: float) -> None:
    """They are, in time; and have other tokens then."""
    await run.wait_for("they are closed", lambda: all(speaker.disconnects > 1 for speaker in theirs), within)
    for user in theirs.values():
        user.token = token(run.users.secret, user.id)
