"""Services of two versions side by side, replaced one after the other."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from faults.builds import COLOUR, GROWN_VERSION, Build, extract, grow, previous_release
from faults.fault_run import FaultRun, in_thread
from faults.traffic import Traffic

WORKERS, GATEWAYS = ("worker-1", "worker-2"), ("gateway-1", "gateway-2")

Settings = dict[str, str]


async def workers_first(run: FaultRun) -> None:
    await upgraded(run, [*WORKERS, *GATEWAYS])


async def gateways_first(run: FaultRun) -> None:
    await upgraded(run, [*GATEWAYS, *WORKERS])


async def upgraded(run: FaultRun, order: Sequence[str]) -> None:
    """Replace each service in turn, under load, once the one before is ready and all is delivered."""
    with TemporaryDirectory(dir=run.stack.directory) as folder:
        other = await in_thread(other_build, run, Path(folder, "build"))
        old, new = versions(other)
        async with run.with_settings(dict.fromkeys(order, old)), run.traffic() as traffic:
            replaced: dict[str, Settings] = {}
            for name in order:
                replaced[name] = new
                await in_thread(run.stack.set_overrides, {**dict.fromkeys(order, old), **replaced})
                run.report(f"{name} is replaced")
                await traffic.wait_for_accepted()
                await run.wait_for_recovery(traffic)
            if other.version == GROWN_VERSION:
                await expect_added_fields(run, traffic)


def other_build(run: FaultRun, folder: Path) -> Build:
    """Return the previous release, or this version with its formats grown where there is none."""
    try:
        found = previous_release()
    except LookupError as error:
        run.report(f"the previous release cannot be found: {error}")
        found = None
    if found is None:
        run.report("from this version to one with fields and kinds added")
        return grow(folder)
    version, commit = found
    run.report(f"from {version} ({commit[:9]}) to this version")
    return extract(commit, version, folder)


def versions(other: Build) -> tuple[Settings, Settings]:
    """Return the settings of the older and of the newer of the other build and this one."""
    this: Settings = {}
    return (this, other.settings) if other.version == GROWN_VERSION else (other.settings, this)


async def expect_added_fields(run: FaultRun, traffic: Traffic) -> None:
    """Check that the last messages have the added field and the first have not: both builds have run."""
    ofs = {"conversationId": {"$in": traffic.groups}}
    grown = await run.database.messages.count_documents({**ofs, "colour": COLOUR})
    plain = await run.database.messages.count_documents({**ofs, "colour": {"$exists": False}})
    run.report(f"{plain} messages without the added field, {grown} with it")
    run.expect(grown > 0 and plain > 0, f"{plain} messages without the added field, {grown} with it")
