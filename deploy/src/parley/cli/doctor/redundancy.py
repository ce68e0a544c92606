"""The checks of what stands by: a cluster that has lost a member serves on, until it loses the next one."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from pymongo.errors import OperationFailure

from parley.cli.doctor.finding import Finding, Findings
from parley.cli.faults import FAULTS, is_denied
from parley.shared import amqp
from parley.shared.host_lists import host_of, split_hosts
from parley.shared.partitions import HEARTBEAT_SECONDS
from parley.shared.sentinel import ANSWER_SECONDS, Master

SERVING = ("PRIMARY", "SECONDARY", "ARBITER")
"""The states of a member that does its part (https://www.mongodb.com/docs/manual/reference/replica-states)."""
BEHIND_SECONDS = 10.0
"""A member that is further behind takes part in no majority for the time being."""

mongodb_findings = Findings("mongodb")
rabbitmq_findings = Findings("rabbitmq")
redis_findings = Findings("redis")


async def mongodb_members(database: Any) -> list[Finding]:
    """Return what the primary knows of the other members; nothing, if this user may not ask it."""
    try:
        status = await database.client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if not is_denied(error):
            raise
        return []
    return list(_members(status["members"]))


def _members(members: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    # An arbiter has none, and there may be no primary just now.
    newest = max(each["optimeDate"] for each in members if "optimeDate" in each)
    for member in members:
        state = member["stateStr"]
        if not member["health"] or state not in SERVING:
            yield mongodb_findings.warning(
                "members",
                f"The member {member['name']} is away ({state}): start it, or look at its log. MongoDB takes "
                "writes as long as a majority of the members is there.",
            )
            continue
        behind = (newest - member["optimeDate"]).total_seconds() if state == "SECONDARY" else 0.0
        if behind > BEHIND_SECONDS:
            yield mongodb_findings.warning(
                "members",
                f"The member {member['name']} is {behind:,.0f} s behind the newest one: look at its disk and "
                "its network.",
            )


async def rabbitmq_nodes(url: str) -> list[Finding]:
    """Return whether each node of a URL answers; nothing of a single one."""
    urls = amqp.node_urls(url)
    if len(urls) == 1:
        return []
    answers = await asyncio.gather(*map(_is_node_there, urls))
    away = [host for host, is_there in zip(split_hosts(url).hosts, answers, strict=True) if not is_there]
    if not away:
        return [rabbitmq_findings.ok("nodes", f"All {len(urls)} nodes answer.")]
    return [
        rabbitmq_findings.warning(
            "nodes",
            f"The node {host} does not answer: start it, or look at its log. The queues serve as long as a "
            "majority of the nodes is there.",
        )
        for host in away
    ]


async def _is_node_there(url: str) -> bool:
    try:
        connection = await amqp.connect(url, name="doctor", heartbeat=HEARTBEAT_SECONDS)
    except FAULTS:
        return False
    await amqp.close(connection)
    return True


async def redis_standby(master: Master) -> list[Finding]:
    """Return whether the sentinels answer, and whether there is a replica that a failover can promote."""
    asked = await asyncio.gather(*(_replicas(master.name, each) for each in master.sentinels))
    silent = [host for host, replicas in asked if replicas is None]
    known: dict[str, bool] = {}
    for name, is_lost in chain.from_iterable((replicas or {}).items() for _, replicas in asked):
        known[name] = known.get(name, False) or is_lost
    problems = [
        redis_findings.warning(
            "sentinels",
            f"The sentinel {host} does not answer: start it. A failover takes a majority of the sentinels.",
        )
        for host in silent
    ]
    problems += [
        redis_findings.warning("replicas", f"The replica {name} is away: start it.")
        for name, is_lost in known.items()
        if is_lost
    ]
    if len(silent) < len(asked) and not known:
        text = "The master has no replica that a failover could promote: start one."
        problems.append(redis_findings.warning("replicas", text))
    good = f"All {len(asked)} sentinels answer, and know {len(known)} replica(s)."
    return problems or [redis_findings.ok("replicas", good)]


async def _replicas(master: str, sentinel: Any) -> tuple[str, dict[str, bool] | None]:
    """Return a sentinel's address, and whether it misses each replica; None if it does not answer."""
    at = sentinel.connection_pool.connection_kwargs
    address = host_of((at["host"], at["port"]))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            replicas = await sentinel.sentinel_slaves(master)
    except FAULTS:
        return address, None
    return address, {
        host_of((each["ip"], each["port"])): bool(each["is_sdown"] or each["is_disconnected"])
        for each in replicas
    }
