"""Services of two versions side by side, replaced one after the other."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from faults.builds import COLOUR, GROWN_VERSION, Build, extract, grow, previous_release
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster_members import redis_master_url
from faults.traffic import Traffic

Settings = dict[str, str]


async def workers_first(run: FaultRun) -> None:
    await upgraded(run, [*services(run, "worker"), *services(run, "gateway")])


async def gateways_first(run: FaultRun) -> None:
    await upgraded(run, [*services(run, "gateway"), *services(run, "worker")])


def services(run: FaultRun, kind: str) -> list[str]:
    """Return the names of the gateways or of the workers."""
    count = len(run.stack.gateway_urls if kind == "gateway" else run.stack.worker_urls)
    return [f"{kind}-{number}" for number in range(1, count + 1)]


async def upgraded(run: FaultRun, order: Sequence[str]) -> None:
    """Replace each service in turn, under load, once the one before is ready and all is delivered."""
    with TemporaryDirectory(dir=run.stack.directory) as folder:
        other = await in_thread(other_build, run, Path(folder, "build"))
        old, new = versions(other)
        if len(run.stack.hosts) > 1 and other.version != GROWN_VERSION:
            old = {**old, **await single_server_urls(run)}
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


async def single_server_urls(run: FaultRun) -> Settings:
    """Return settings for version 0.2.0, which knows no sentinels and only one host of RabbitMQ."""
    broker = re.sub(",[^/]*", "", run.stack.rabbitmq_url)
    return {"RABBITMQ_URL": broker, "REDIS_URL": await redis_master_url(run)}


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
