"""Clients that stop reading, and clients whose tokens hold no more."""

import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clients.chat import User, token
from clients.returning import Returning
from clients.sleeper import Sleeper
from faults.traffic import ABSENT, SPEAKERS, Traffic
from faults.trial import Trial, do

LONG = "x" * 7_900
BOUND = 1 << 20
KERNEL = 8 << 20
"""Bytes that both ends' kernels may hold besides, at most."""

GROWTH = 32 << 20
LASTS = 4.0
CLOSED_SECONDS = 5.0


async def stops_reading(trial: Trial) -> None:
    async with trial.traffic() as traffic:
        gateway = trial.stack.pid("gateway-1")
        sleeper = await do(Sleeper, trial.stack.gateway_urls[0], trial.town.user(ABSENT))
        memory = resident(gateway)
        for group in traffic.groups:
            await do(sleeper.join, group)
        traffic.chatter.padding = LONG
        before = len(traffic.accepted)
        try:
            await trial.sees("it is cut off", lambda: not sleeper.established, 30)
        finally:
            traffic.chatter.padding = ""
            sleeper.close()
        said = (len(traffic.accepted) - before) * len(LONG)
        grown = resident(gateway) - memory
        trial.say(f"{said / 1e6:.1f} MB were said, the gateway has grown by {grown / 1e6:.1f} MB")
        trial.expect(BOUND < said < BOUND + KERNEL, f"cut off after {said / 1e6:.1f} MB")
        trial.expect(grown < GROWTH, f"the gateway has grown by {grown / 1e6:.1f} MB")
        await trial.recovers(traffic)
        ear = traffic.ears[0]
        await trial.sees("it is offline", lambda: ear.status.get(trial.town.user(ABSENT).id) == "offline", 10)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def token_expires(trial: Trial) -> None:
    """Of every other speaker, who come back with new ones when they are closed."""
    async with trial.traffic() as traffic:
        ends = int(time.time() + LASTS)
        theirs = await with_tokens(trial, traffic, exp=ends)
        await are_closed(trial, theirs, ends - time.time() + CLOSED_SECONDS)
        await trial.recovers(traffic)


async def token_revoked(trial: Trial) -> None:
    """Likewise, by what is said to one gateway."""
    async with trial.traffic() as traffic:
        stolen = uuid.uuid4().hex
        theirs = await with_tokens(trial, traffic, jti=stolen)
        status, answer = await trial.town.user("admin", role="admin").rest(
            "POST", "/admin/revoke", {"jti": stolen}
        )
        assert status == 200, answer
        await are_closed(trial, theirs, CLOSED_SECONDS)
        await trial.recovers(traffic)


async def with_tokens(trial: Trial, traffic: Traffic, **claims: Any) -> dict[Returning, User]:
    """Every other speaker, come back with a token of these claims."""
    pairs = zip(traffic.speakers[::2], SPEAKERS[::2], strict=True)
    theirs = {speaker: trial.town.user(name) for speaker, name in pairs}
    for speaker, user in theirs.items():
        user.token = token(trial.town.secret, user.id, **claims)
        speaker.lose()
    await trial.recovers(traffic)
    return theirs


async def are_closed(trial: Trial, theirs: Mapping[Returning, User], within: float) -> None:
    """They are, in time; and have other tokens then."""
    await trial.sees("they are closed", lambda: all(speaker.losses > 1 for speaker in theirs), within)
    for user in theirs.values():
        user.token = token(trial.town.secret, user.id)
