"""A backup that is taken under load is restored, and every client learns that later messages are gone."""

import asyncio
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clients.chat import ChatUsers, eventually
from clients.database import open_database
from clients.invariants import assert_numbered, assert_unread_counts, how_many, stored_messages
from clients.load_generator import LoadGenerator
from clients.operators import Answer, Operator, finding
from clients.reconnecting_client import ReconnectingClient
from clients.recording_clients import RecordingClients
from clients.uploads import attached, read
from parley.stack import Stack, commands

pytestmark = pytest.mark.slow  # A stack of its own is stopped, restored and started again.

SPEAKERS = ("ann", "bob", "cleo", "dan")
SERVICES = ("gateway-1", "gateway-2", "worker-1", "worker-2")
FILE = b"what a lawyer has uploaded " * 50_000
"""More than one chunk of GridFS."""


@dataclass
class Scene:
    """A stack whose users talk in groups on all partitions, and an operator who looks after it."""

    stack: Stack
    users: ChatUsers
    operator: Operator
    database: Any
    groups: list[str]
    speakers: list[ReconnectingClient]
    held: dict[str, dict[str, int]] = field(default_factory=dict)

    def load(self) -> LoadGenerator:
        return LoadGenerator(self.speakers, self.groups, pause=0.02)

    async def stop_services(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(self.stack.stop, name) for name in SERVICES))

    async def accept_without_workers(self, count: int) -> int:
        """Stop the workers and send messages, which wait in RabbitMQ; return how many were accepted."""
        await asyncio.gather(*(asyncio.to_thread(self.stack.stop, name) for name in SERVICES[2:]))
        sent = [await self.speakers[0].send(self.groups[0], f"waiting {n}") for n in range(count)]
        return sum(answer["success"] for answer in sent)

    async def start_services(self) -> None:
        for name in reversed(SERVICES):
            await asyncio.to_thread(self.stack.start, name)

    async def wait_until_stored(self, count: int) -> None:
        """Wait until so many messages are stored, and every speaker displays what is stored."""
        await eventually(lambda: self._is_stored(count), 60)
        await eventually(self._is_displayed, 60)

    async def stored(self) -> dict[str, dict[int, str]]:
        """Return the contents of all messages by number, by group."""
        found = {group: await stored_messages(self.database, group) for group in self.groups}
        for messages in found.values():
            assert_numbered(messages)
        return {group: {m["seq"]: m["content"] for m in messages} for group, messages in found.items()}

    async def is_being_restored(self) -> bool:
        return await self.database.restorations.find_one({}) is not None

    async def _is_stored(self, count: int) -> bool:
        return await how_many(self.database, *self.groups) >= count

    async def _is_displayed(self) -> bool:
        stored = await self.stored()
        return all(speaker.displayed[group] == stored[group] for speaker in self.speakers for group in stored)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    (tmp_path / "operator").mkdir()
    with Stack(tmp_path / ".run", gateways=2, workers=2, settings={"RATE_LIMITS": "off"}) as stack:
        users = ChatUsers(stack.url, stack.jwt_secret)
        async with RecordingClients(users) as clients, open_database(stack.mongo_url) as database:
            groups = await clients.create_group_per_partition(*SPEAKERS, "absent")
            speakers = [
                await clients.add(ReconnectingClient(users.user(name), stack.url)) for name in SPEAKERS
            ]
            for speaker in speakers:
                await speaker.join_all(groups)
            yield Scene(stack, users, Operator(stack, tmp_path / "operator"), database, groups, speakers)
        await users.close()


async def sync(scene: Scene, name: str, held: dict[str, dict[str, int]]) -> dict[str, Any]:
    socket = await scene.users.user(name).socket()
    answer = await socket.call_ok("sync", {"conversations": held})
    conversations: dict[str, Any] = answer["conversations"]
    return conversations


def assert_refused(answer: Answer, *words: str) -> None:
    assert answer.code == 2, answer
    assert answer.err.count("\n") == 1
    assert all(word in answer.err for word in words), answer.err


async def test_a_backup_under_load_is_restored_and_every_client_learns_of_the_new_epoch(
    scene: Scene, tmp_path: Path
) -> None:
    ann, backup = scene.users.user("ann"), str(tmp_path / "backup.tar.gz")
    upload = await attached(scene.stack.url, ann, FILE)
    with_file = await scene.speakers[0].send(scene.groups[0], "read this", attachments=[upload["id"]])
    assert with_file["success"], with_file
    async with scene.load() as load:
        await load.wait_for_accepted(100)
        taken = (await scene.operator.run("backup", backup, "--json")).json
        await load.wait_for_accepted(400, 60)
    await scene.wait_until_stored(1 + len(load.accepted))
    before, lost = await scene.stored(), dict(scene.speakers[0].revisions)

    assert_refused(await scene.operator.run("restore", backup), "holds", "--replace")
    assert_refused(
        await scene.operator.run("restore", backup, "--replace"), "gateway g1", "worker w2", "stop all"
    )
    assert await scene.stored() == before
    waiting = await scene.accept_without_workers(5)
    await scene.stop_services()
    restored = await scene.operator.run("restore", backup, "--replace", "--json")
    assert restored.code == 0, restored
    assert restored.json["documents"] == taken["documents"]
    verified = await scene.operator.run("verify", "--json")
    assert (verified.code, verified.rows[-1]["repaired"]) == (0, 0), verified
    kept = await scene.stored()
    assert all(kept[group].items() <= before[group].items() for group in scene.groups)
    assert 100 < sum(map(len, kept.values())) < len(load.accepted)
    await scene.start_services()
    await scene.wait_until_stored(sum(map(len, kept.values())) + waiting)
    kept = await scene.stored()

    changes = await sync(scene, "bob", lost)
    assert [group for group in scene.groups if not changes[group].get("tooFar")] == []
    async with scene.load() as again:
        await again.wait_for_accepted(200, 60)
    await scene.wait_until_stored(sum(map(len, kept.values())) + len(again.accepted))
    after = await scene.stored()
    assert all(kept[group].items() <= after[group].items() for group in scene.groups)
    assert sum(map(len, after.values())) == sum(map(len, kept.values())) + len(again.accepted)
    changes = await sync(scene, "bob", lost)
    assert [group for group in scene.groups if not changes[group].get("tooFar")] == []
    for group in scene.groups:
        await assert_unread_counts(scene.database, scene.users, group)
    answer = await read(scene.stack.url, ann, upload["url"])
    assert (answer.status, answer.body) == (200, FILE)


async def test_a_torn_backup_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    backup = tmp_path / "backup.tar.gz"
    async with scene.load() as load:
        await load.wait_for_accepted(50)
    await scene.wait_until_stored(len(load.accepted))
    before = await scene.stored()
    assert (await scene.operator.run("backup", str(backup))).code == 0
    assert backup.stat().st_mode & 0o077 == 0
    assert_refused(await scene.operator.run("backup", str(backup)), "exists already")
    whole = backup.read_bytes()
    backup.write_bytes(whole[: len(whole) // 2])
    await scene.stop_services()
    assert_refused(await scene.operator.run("restore", str(backup), "--replace"), "torn", "use another")
    await scene.start_services()
    assert await scene.stored() == before


async def test_a_restore_that_was_interrupted_keeps_services_away_until_it_is_repeated(
    scene: Scene, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.tar.gz"
    async with scene.load() as load:
        await load.wait_for_accepted(50)
    await scene.wait_until_stored(len(load.accepted))
    before = await scene.stored()
    backup.write_bytes(await _output(await scene.operator.start("backup", "-")))
    await scene.stop_services()
    restoring = await scene.operator.start("restore", str(backup), "--replace")
    await eventually(scene.is_being_restored)
    restoring.kill()
    await restoring.wait()
    doctor = await scene.operator.run("doctor", "--json")
    assert finding(doctor, "mongodb", "restore").startswith("error: MongoDB is being restored from backup")
    assert_refused(await scene.operator.run("restore", str(backup)), "did not end", "--replace")
    # As after a restart of the machine: `up` could not start the services.
    await asyncio.to_thread(scene.stack.down)
    write_settings(tmp_path, scene.stack)
    # In this process, which keeps the ports of the stack.
    options = Namespace(root=tmp_path, options=[str(backup), "--replace"])
    await asyncio.to_thread(commands.restore, options)
    assert await scene.stored() == before
    again = await asyncio.to_thread(make_restore, tmp_path, "restore", str(backup))
    assert again.returncode != 0
    assert "give --replace" in again.stderr
    await scene.speakers[0].send_until_accepted(scene.groups[0], "the services run")


def write_settings(root: Path, stack: Stack) -> None:
    """Write an `.env` for the commands of `make`, with the settings that the stack was started with."""
    (root / ".env").write_text(f"HTTP_PORT={stack.url.rpartition(':')[2]}\nRATE_LIMITS=off\n")


def make_restore(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `make restore` on the stack below a directory."""
    command = [sys.executable, "-m", "parley.stack", "--root", str(root), *arguments]
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=env, check=False)


async def _output(process: asyncio.subprocess.Process) -> bytes:
    out, err = await process.communicate()
    assert process.returncode == 0, err
    return out
