"""A replica set of three MongoDB servers on this machine, whose members a test freezes and kills."""

import asyncio
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pymongo
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from clients.chat import eventually
from parley.stack.ports import LOOPBACK, free_base

NAME = "parley-tests"
START_SECONDS = 60.0
PAUSE_MILLISECONDS = 20_000
ANSWER_SECONDS = 5.0
"""Time to tell a member that is frozen or starts from one that answers."""
ELECTION_MILLISECONDS = 1_500
OPLOG_MEGABYTES = 990
"""The least that MongoDB takes; the file grows only as far as it is used."""


def mongod() -> str:
    """Return the path of the server's program: the machine's own, else the installed wheel's."""
    bundled = Path(sysconfig.get_path("purelib"), "fiftyone", "db", "bin", "mongod")
    found = shutil.which("mongod") or (str(bundled) if bundled.exists() else None)
    assert found is not None, "There is no mongod on the PATH, and no wheel with one is installed."
    return found


class Member:
    """One server of the set, with its own port and data."""

    def __init__(self, port: int, directory: Path) -> None:
        self.port = port
        self.address = f"{LOOPBACK}:{port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=1_000, socketTimeoutMS=30_000
        )

    def back_up(self, folder: Path) -> None:
        """Copy the data of the killed server to a folder."""
        shutil.copytree(self._directory, folder)

    def restore(self, folder: Path) -> None:
        """Replace the data of the killed server by a copy that `back_up` made."""
        shutil.rmtree(self._directory)
        shutil.copytree(folder, self._directory)

    def start(self) -> None:
        """Start the server on the data that it has."""
        self._directory.mkdir(parents=True, exist_ok=True)
        options = {
            "--dbpath": self._directory,
            "--port": self.port,
            "--bind_ip": LOOPBACK,
            "--replSet": NAME,
            "--oplogSize": OPLOG_MEGABYTES,
            "--wiredTigerCacheSizeGB": 0.25,
            "--logpath": self._directory / "mongod.log",
        }
        flags = ["--nounixsocket", "--logappend", "--setParameter", "enableTestCommands=1"]
        command = [mongod(), *flags, *(str(part) for option in options.items() for part in option)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def freeze(self) -> None:
        """Stop the process where it is, as a hung disk does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once, as a power cut does; its data stays."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    async def close(self) -> None:
        """Kill the server and close the connection to it."""
        self.kill()
        await self._client.close()

    async def admin(self, command: str, value: Any = 1, **arguments: Any) -> dict[str, Any]:
        """Run a command on this member's `admin` database."""
        return await self._client.admin.command(command, value, **arguments)

    async def is_writable(self) -> bool:
        """Return whether this member is the primary and takes writes."""
        with suppress(PyMongoError), pymongo.timeout(ANSWER_SECONDS):
            return bool((await self.admin("hello"))["isWritablePrimary"])
        return False

    async def step_down(self) -> None:
        """Hand over to another member, and do not come back for some seconds."""
        await self.admin("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)

    async def pause_replication(self) -> None:
        """Take no more of the primary's writes, but go on voting."""
        await self._fail_point("rsSyncApplyStop", "alwaysOn")
        entered = await self._fail_point("stopReplProducer", "alwaysOn")
        # A fetch that is under way still brings writes of a moment later, which would be taken in the end.
        await self.admin(
            "waitForFailPoint", "stopReplProducer", timesEntered=entered + 1, maxTimeMS=PAUSE_MILLISECONDS
        )

    async def resume_replication(self) -> None:
        """Take the primary's writes again."""
        await self._fail_point("stopReplProducer", "off")
        await self._fail_point("rsSyncApplyStop", "off")

    async def _fail_point(self, name: str, mode: str) -> int:
        """Set a fail point; return how often it was entered so far."""
        return int((await self.admin("configureFailPoint", name, mode=mode))["count"])

    def _signal(self, number: int) -> None:
        assert self._process is not None, "the member is not running"
        self._process.send_signal(number)


class ReplicaSet:
    """Three members, of which the first has been elected the primary."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    @property
    def url(self) -> str:
        """The connection string that names all members."""
        hosts = ",".join(member.address for member in self.members)
        return f"mongodb://{hosts}/parley?replicaSet={NAME}"

    async def primary(self) -> Member:
        """Wait for a primary and return it."""

        async def find() -> Member | None:
            for member in self.members:
                if await member.is_writable():
                    return member
            return None

        found: Member = await eventually(find, 30)
        return found

    async def secondaries(self) -> list[Member]:
        """Return the members besides the primary."""
        primary = await self.primary()
        return [member for member in self.members if member is not primary]

    async def pause_replication(self) -> list[Member]:
        """Let no secondary take any more writes. Returns the secondaries."""
        secondaries = await self.secondaries()
        await asyncio.gather(*(member.pause_replication() for member in secondaries))
        return secondaries

    async def initiate(self) -> None:
        """Make the started members a replica set and wait for its primary."""
        first = self.members[0]
        for each in self.members:
            await eventually(lambda member=each: self._is_up(member), START_SECONDS)
        members = [
            {"_id": number, "host": member.address, "priority": 2 if member is first else 1}
            for number, member in enumerate(self.members)
        ]
        timing = {"electionTimeoutMillis": ELECTION_MILLISECONDS, "heartbeatIntervalMillis": 300}
        await first.admin("replSetInitiate", {"_id": NAME, "members": members, "settings": timing})
        await eventually(first.is_writable)

    async def _is_up(self, member: Member) -> bool:
        try:
            with pymongo.timeout(ANSWER_SECONDS):
                await member.admin("ping")
        except OperationFailure:
            return True
        except PyMongoError:
            return False
        return True


@asynccontextmanager
async def replica_set(directory: Path) -> AsyncIterator[ReplicaSet]:
    """Run a replica set of three with its data below `directory`."""
    base = free_base()
    running = ReplicaSet([Member(base + number, directory / f"member-{number}") for number in range(3)])
    try:
        for member in running.members:
            member.start()
        await running.initiate()
        yield running
    finally:
        for member in running.members:
            await member.close()
