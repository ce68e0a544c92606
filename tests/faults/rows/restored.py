"""MongoDB is restored to an earlier point."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from clients.chat import eventually
from clients.invariants import miscounts, stored_messages
from clients.reconnecting_client import ReconnectingClient
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster_losses import admin
from faults.rows.cluster_members import number_of, primary, step_down
from faults.traffic import SPEAKERS, Traffic
from faults.verdict import SETTLE_SECONDS, doubled, holes

LOST_MESSAGES = 200
ELECTIONS = 2
"""Elections that are undone: a driver that has seen them refuses the primaries of the restored set."""
NOTICED_SECONDS = 45.0
"""Seconds after a restoration until no client holds the former history: audits are 20 s apart."""

Held = Mapping[str, dict[str, int]]
Stored = dict[str, list[dict[str, Any]]]


async def while_services_run(run: FaultRun) -> None:
    """Set all members back while gateways and workers go on."""
    await _restored(run, stopped=[])


async def while_services_are_stopped(run: FaultRun) -> None:
    await _restored(
        run, stopped=[f"{kind}-{h.number}" for kind in ("gateway", "worker") for h in run.stack.hosts]
    )


async def _restored(run: FaultRun, stopped: list[str]) -> None:
    """Set all members of the set back to the snapshot of one member's data.

    All that was stored since the snapshot is gone by definition. Judged are the messages accepted after the
    members were stopped, and the messages that clients display at the end.
    """
    async with Traffic(run.stack, run.users) as traffic, _snapshot_folder(run) as snapshot:
        async with traffic.start_load():
            await traffic.wait_for_accepted()
            await _take_snapshot(run, snapshot)
            await traffic.wait_for_accepted(LOST_MESSAGES)
            for _ in range(ELECTIONS):
                await step_down(run)
                await run.wait_for_recovery(traffic)
            held = dict(traffic.speakers[0].revisions)
            await asyncio.gather(*(in_thread(run.stack.stop, name) for name in stopped))
            since = await _set_back(run, snapshot)
            # Messages stored since the snapshot are gone, also where nobody had received them yet.
            await run.wait_for_recovery(traffic, since)
            await run.wait_for("no client holds the former history", lambda: _left(traffic), NOTICED_SECONDS)
            await traffic.wait_for_accepted()
        await _judge(run, traffic, since)
        await _expect_too_far(run, held)


@asynccontextmanager
async def _snapshot_folder(run: FaultRun) -> AsyncIterator[Path]:
    folder = run.stack.directory / "data" / "snapshot"
    try:
        yield folder
    finally:
        await in_thread(shutil.rmtree, folder, True)


async def _take_snapshot(run: FaultRun, snapshot: Path) -> None:
    """Copy the data of a secondary, whose disk is locked meanwhile."""
    first = number_of(run, await primary(run))
    number = next(host.number for host in run.stack.hosts if host.number != first)
    await admin(run, number, "fsync", lock=True)
    try:
        await in_thread(shutil.copytree, run.stack.directory / "data" / f"mongodb-{number}", snapshot)
    finally:
        await admin(run, number, "fsyncUnlock")


async def _set_back(run: FaultRun, snapshot: Path) -> float:
    """Replace the data of all members by the snapshot. Returns when all were stopped."""
    names = [f"mongodb-{host.number}" for host in run.stack.hosts]
    for name in names:
        await in_thread(run.stack.kill, name)
    since = time.monotonic()
    for name in names:
        await in_thread(run.stack.erase, name)
        await in_thread(_copy, snapshot, run.stack.directory / "data" / name)
    await in_thread(run.stack.up)
    await run.reopen_database()
    return since


def _copy(snapshot: Path, directory: Path) -> None:
    shutil.copytree(snapshot, directory, dirs_exist_ok=True)
    (directory / "mongod.lock").unlink(missing_ok=True)


def _left(traffic: Traffic) -> bool:
    """Return whether the clients that do not reconnect have lost their sockets, and the others came back."""
    return all(listener.socket.closed.is_set() for listener in traffic.listeners) and all(
        speaker.disconnects for speaker in traffic.speakers
    )


async def _judge(run: FaultRun, traffic: Traffic, since: float) -> None:
    accepted = {id for id, at in traffic.accepted.items() if at > since}
    stored: Stored = {}

    async def is_settled() -> bool:
        stored.update({group: await stored_messages(run.database, group) for group in traffic.groups})
        return accepted <= _ids(stored) and all(_displays(speaker, stored) for speaker in traffic.speakers)

    with suppress(AssertionError):
        await eventually(is_settled, SETTLE_SECONDS)
    wrong = [await miscounts(run.database, run.users, group) for group in traffic.groups]
    outcome = run.outcome
    outcome.accepted, outcome.lost = len(accepted), len(accepted - _ids(stored))
    outcome.doubled, outcome.holes = sum(map(doubled, stored.values())), sum(map(holes, stored.values()))
    outcome.unread_wrong = sum(map(len, wrong))
    figures = (outcome.lost, outcome.doubled, outcome.holes, outcome.unread_wrong)
    run.expect(not any(figures), f"lost, doubled, holes, unread wrong: {figures}, {wrong}")
    for speaker in traffic.speakers:
        for group, messages in stored.items():
            differing = _difference(speaker, group, messages)
            run.expect(
                not differing, f"{speaker.user_id} displays others than are stored in {group}: {differing}"
            )


def _ids(stored: Stored) -> set[str]:
    return {message["_id"] for messages in stored.values() for message in messages}


def _displays(speaker: ReconnectingClient, stored: Stored) -> bool:
    return not any(_difference(speaker, group, messages) for group, messages in stored.items())


def _difference(speaker: ReconnectingClient, group: str, messages: list[dict[str, Any]]) -> str:
    """Return the numbers at which the client displays another message than is stored, or none."""
    right = {message["seq"]: message["content"] for message in messages}
    found = speaker.displayed[group]
    return ", ".join(str(seq) for seq in sorted(right.keys() | found) if right.get(seq) != found.get(seq))


async def _expect_too_far(run: FaultRun, held: Held) -> None:
    """Check that a client that comes back with what it held of the former history is not told up to date."""
    socket = await run.users.user(SPEAKERS[0]).socket()
    answer = await socket.call_ok("sync", {"conversations": held})
    for group, changes in answer["conversations"].items():
        fits = changes.get("tooFar") is True and changes["epoch"] != held[group]["epoch"]
        run.expect(fits, f"a client of the former history is answered {changes}")
    await socket.close()
