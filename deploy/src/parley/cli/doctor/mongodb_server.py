"""The checks of MongoDB: a write at a majority, clock, disk, indexes and the replica set's settings."""

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC
from time import monotonic
from typing import Any

from pymongo.errors import ConfigurationError, OperationFailure

from parley.cli.doctor.finding import Finding, Findings
from parley.cli.doctor.redundancy import mongodb_members
from parley.cli.faults import FAULTS, is_denied, sentence
from parley.shared import mongo
from parley.shared.documents import MIGRATIONS
from parley.shared.indexes import INDEXES
from parley.shared.migrations import Definition
from parley.shared.model import now
from parley.shared.restoration import check_finished
from parley.shared.settings import StartupError

LEAST_VERSION = (5, 0)
LEAST_FREE = 0.10
"""The share of the disk below which it is time to act; gateways refuse uploads below 0.05."""
SETTINGS = {"electionTimeoutMillis": 3_000, "catchUpTimeoutMillis": 2_000, "chainingAllowed": False}
"""Of a replica set of three or more; deploy/README.md says why."""
CLUSTER = 3
NAMESPACE_NOT_FOUND = 26

findings = Findings("mongodb")


async def check(url: str) -> AsyncIterator[Finding]:
    """Yield the findings; stop where the server cannot be used at all."""
    try:
        async with mongo.connect(url) as database:
            async for finding in _findings(database):
                yield finding
    except (ConfigurationError, ValueError) as error:
        yield findings.error("reachable", f"MONGO_URL is invalid: {error}")
    except FAULTS as error:
        yield findings.error("reachable", sentence(error, "MongoDB", "MONGO_URL"))


async def _findings(database: Any) -> AsyncIterator[Finding]:
    hello = await database.command("hello")
    yield findings.ok("reachable", "It answers, and has a primary.")
    yield _version((await database.client.server_info())["version"])
    yield findings.clock(hello["localTime"].replace(tzinfo=UTC))
    yield await _write(database)
    for finding in await _restoration(database):
        yield finding
    yield await _disk(database)
    for finding in await _indexes(database):
        yield finding
    for finding in await _replica_set(database, hello):
        yield finding
    if "setName" in hello:
        for finding in await mongodb_members(database):
            yield finding


def _version(version: str) -> Finding:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < LEAST_VERSION:
        return findings.error("version", f"Its version is {version}: 5.0 or newer is needed.")
    return findings.ok("version", f"Its version is {version}.")


async def _write(database: Any) -> Finding:
    document = {"_id": f"doctor:{uuid.uuid4().hex}", "at": now()}
    started = monotonic()
    try:
        await database[MIGRATIONS].insert_one(document)
    except FAULTS as error:
        if is_denied(error):
            return findings.error("rights", sentence(error, "MongoDB", "MONGO_URL"))
        return findings.error(
            "write",
            f"No majority confirms a write ({str(error)[:120]}): look for members that are away, and for a "
            "full disk.",
        )
    seconds = monotonic() - started
    await database[MIGRATIONS].delete_one({"_id": document["_id"]})
    return findings.speed(seconds, "A write that a majority confirms")


async def _restoration(database: Any) -> list[Finding]:
    try:
        await check_finished(database)
    except StartupError as error:
        return [findings.error("restore", str(error))]
    return []


async def _disk(database: Any) -> Finding:
    stats = await database.command("dbStats")
    total, used = stats.get("fsTotalSize"), stats.get("fsUsedSize")
    if not total or used is None:
        return findings.ok("disk", "It does not say how full its disk is.")
    free = 1 - used / total
    text = f"{free:.0%} of its disk is free ({(total - used) / 2**30:,.1f} GiB)"
    if free < LEAST_FREE:
        return findings.error("disk", f"{text}: enlarge it before nothing can be stored.")
    return findings.ok("disk", f"{text}.")


async def _indexes(database: Any) -> list[Finding]:
    missing = []
    for collection, wanted in INDEXES.items():
        built = await _built(database, collection)
        for index in wanted:
            definition = Definition.of(index.document["key"].items(), index.document)
            if definition not in built:
                missing.append(f"{collection}.{index.document['name']}")
    if not missing:
        return [findings.ok("indexes", f"All {sum(map(len, INDEXES.values()))} indexes are built.")]
    return [
        findings.error(
            "indexes",
            f"The index {name} is missing: restart a gateway or a worker of this version, which builds it.",
        )
        for name in missing
    ]


async def _built(database: Any, collection: str) -> list[Definition]:
    try:
        information = await database[collection].index_information()
    except OperationFailure as error:
        if error.code != NAMESPACE_NOT_FOUND:
            raise
        return []
    return [Definition.of(index["key"], index) for index in information.values()]


async def _replica_set(database: Any, hello: Mapping[str, Any]) -> list[Finding]:
    if "setName" not in hello:
        return [
            findings.ok(
                "replica_set",
                "It is a single server: what it has stored is lost with its disk, so back it up.",
            )
        ]
    try:
        config = (await database.client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if not is_denied(error):
            raise
        text = "This user may not read the replica set's settings: compare them with deploy/README.md."
        return [findings.ok("replica_set", text)]
    members = len(config["members"])
    problems = list(_settings(config.get("settings", {}))) if members >= CLUSTER else []
    return problems or [findings.ok("replica_set", f"The replica set has {members} member(s), well set.")]


def _settings(settings: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in SETTINGS.items():
        if settings.get(name) != value:
            wanted = str(value).lower()
            yield findings.warning(
                "replica_set",
                f"The replica set's {name} is {str(settings.get(name)).lower()}: set it to {wanted}, so that "
                "the loss of a member is noticed in time (rs.reconfig; deploy/README.md).",
            )
