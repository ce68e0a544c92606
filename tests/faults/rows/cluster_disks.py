"""The disk of one host is full."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pymongo.errors import PyMongoError

from clients.chat import eventually
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster import AWAY_SECONDS
from faults.rows.cluster_losses import admin
from faults.rows.cluster_members import ELECTED_SECONDS, number_of, primary
from parley.stack import StackError

ROOM_BYTES = 48 << 20
"""The room left on the small disk before it is filled up."""


async def mongodb_disk_full(run: FaultRun) -> None:
    """Fill the disk of the primary: the member ends with a fatal error at each start, until there is room."""
    number = number_of(run, await primary(run))
    name = f"mongodb-{number}"
    async with _small_disk(run, name) as disk, run.traffic() as traffic:
        before = await primary(run)
        filler = disk / "filler"
        await in_thread(_fill, filler)
        # The member meets the full disk at its next checkpoint, which is up to a minute away.
        with suppress(PyMongoError):
            await admin(run, number, "fsync")

        async def is_replaced() -> bool:
            return number_of(run, await primary(run) or before) != number

        await run.wait_for(f"{name} is no longer the primary", is_replaced, ELECTED_SECONDS)
        await run.wait_for_recovery(traffic)
        await asyncio.sleep(AWAY_SECONDS)
        filler.unlink()
        await in_thread(run.stack.up)
        await run.wait_for_recovery(traffic)


@asynccontextmanager
async def _small_disk(run: FaultRun, name: str) -> AsyncIterator[Path]:
    """Have a member keep its data on a small disk meanwhile, as the primary.

    Raises:
        StackError: This user may not mount.
    """
    directory = run.stack.directory / "data" / name
    aside = directory.with_name(f"{name}-aside")
    await in_thread(run.stack.stop, name)
    await in_thread(directory.rename, aside)
    try:
        await in_thread(mount_small_disk, aside, directory)
        try:
            await in_thread(run.stack.start, name)
            await _make_primary(run, name)
            yield directory
        finally:
            await in_thread(run.stack.stop, name)
            await in_thread(unmount_small_disk, directory)
    finally:
        await in_thread(aside.rename, directory)
        await in_thread(run.stack.start, name)


async def _make_primary(run: FaultRun, name: str) -> None:
    number = int(name.rpartition("-")[2])

    async def is_primary() -> bool:
        address = await primary(run)
        if address and number_of(run, address) == number:
            return True
        await admin(run, number, "replSetStepUp")
        return False

    await eventually(is_primary, ELECTED_SECONDS)


def mount_small_disk(source: Path, directory: Path) -> None:
    """Copy a folder to a small file system in memory, mounted at `directory`.

    Raises:
        StackError: This user may not mount.
    """
    used = sum(file.stat().st_size for file in source.rglob("*") if file.is_file())
    directory.mkdir(mode=0o700)
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={used + ROOM_BYTES},mode=0700", "none", str(directory))
    except StackError:
        directory.rmdir()
        raise
    shutil.copytree(source, directory, dirs_exist_ok=True)


def unmount_small_disk(directory: Path) -> None:
    """Undo `mount_small_disk`; the files there are lost."""
    _run("umount", str(directory))
    directory.rmdir()


def _fill(file: Path) -> None:
    """Write until the disk is full."""
    block = bytes(1 << 20)
    try:
        with file.open("wb", buffering=0) as filler:
            while filler.write(block):
                pass
    except OSError:
        return


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{command[0]} failed; this row needs the right to mount: {done.stderr.strip()}")
