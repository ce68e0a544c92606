"""The faults that an operator has to end: each fires its alert, and no other one."""

import math

from faults.row import Row
from faults.rows import held, held_data, held_servers

UNAVAILABLE, OVERLOADED, RATE_LIMITED = "UNAVAILABLE", "OVERLOADED", "RATE_LIMITED"
HELD = 300.0
"""A bound of seconds for all that lasts as long as the fault."""


def _row(name: str, fault: str, done: str, run: object, *alerts: str, **more: object) -> Row:
    bounds = {"silence": HELD, "recovery": 60.0, "bound": 2 * HELD, "refused": math.inf}
    return Row(name=name, fault=fault, done=done, run=run, alerts=alerts, **{**bounds, **more})  # type: ignore[arg-type]


ROWS = (
    _row("quiet", "nothing is broken", "80 s of the load", held.nothing),
    _row(
        "part-stuck",
        "a worker is stuck",
        "SIGSTOP for 80 s",
        held.worker_stuck,
        "ParleyPartDown",
        finding="worker-1 (reachable)",
    ),
    _row(
        "part-crashing",
        "a worker crashes again and again",
        "SIGKILL after each start, four times",
        held.worker_crashing,
        "ParleyPartRestarting",
        finding="worker-1 (started)",
    ),
    _row(
        "rabbitmq-away",
        "RabbitMQ is away",
        "stop_app for 80 s",
        held_servers.rabbitmq_away,
        "ParleyRabbitMQUnavailable",
        refusal=(UNAVAILABLE,),
        finding="rabbitmq (reachable)",
    ),
    _row(
        "redis-away",
        "Redis is away",
        "SIGKILL, 80 s later started again",
        held_servers.redis_away,
        "ParleyRedisUnavailable",
        refusal=(OVERLOADED,),
        finding="redis (reachable)",
    ),
    _row(
        "gateway-without-redis",
        "a gateway cannot reach Redis",
        "a proxy blocks all traffic for 80 s",
        held_servers.gateway_without_redis,
        "ParleyRedisUnavailable",
        finding="gateway-1 (bus)",
    ),
    _row(
        "mongodb-away",
        "MongoDB is away",
        "SIGKILL, 80 s later started again",
        held_servers.mongodb_away,
        "ParleyMongoDBUnavailable",
        finding="mongodb (reachable)",
    ),
    _row(
        "partition-unowned",
        "partitions have no worker",
        "a worker registers and takes none for 100 s",
        held.partition_unowned,
        "ParleyPartitionsUnowned",
        refusal=(OVERLOADED,),
        finding="rabbitmq (owners)",
    ),
    _row(
        "disk-slow",
        "MongoDB's disk is slow",
        "fsyncLock for 3 of every 4 s",
        held_servers.disk_slow,
        "ParleyStorageSlow",
        refusal=(OVERLOADED,),
        finding="mongodb (speed)",
    ),
    _row(
        "rabbitmq-alarm",
        "RabbitMQ's disk is full",
        "disk alarm for 110 s",
        held_servers.rabbitmq_full,
        "ParleyRabbitMQBlocked",
        refusal=(UNAVAILABLE,),
        finding="rabbitmq (alarm)",
    ),
    _row(
        "sockets-full",
        "a gateway is full",
        "MAX_SOCKETS is reached, and clients go on connecting for 110 s",
        held.gateway_full,
        "ParleyOverloaded",
        refusal=(OVERLOADED,),
        finding="gateway-1 (refusals)",
    ),
    _row(
        "gateway-throttled",
        "a gateway has too little processor time",
        "SIGSTOP for 2.4 of every 3 s, for 220 s",
        held.gateway_throttled,
        "ParleyDeliverySlow",
        refusal=(OVERLOADED,),
        finding="gateway-1 (delivery)",
    ),
    _row(
        "redis-cuts-off",
        "Redis closes the gateways' subscriptions",
        "CLIENT KILL TYPE pubsub every 15 s for 200 s",
        held_servers.redis_cuts_off,
        "ParleyEventsLost",
        finding="gateway-1 (gaps)",
    ),
    _row(
        "redis-full",
        "Redis is full",
        "maxmemory 1 for 110 s",
        held_servers.redis_full,
        "ParleyRedisFailing",
        finding="redis (memory)",
    ),
    _row(
        "disk-filling",
        "MongoDB's disk fills up",
        "a small disk, filled to 7 % for 100 s",
        held_servers.disk_filling,
        "ParleyStorageFilling",
        finding="mongodb (disk)",
    ),
    _row(
        "index-locked",
        "the search index cannot be written",
        "a transaction holds its blocks for 160 s",
        held_data.index_locked,
        "ParleySearchBehind",
        finding="(search)",
    ),
    _row(
        "message-not-indexable",
        "a message cannot be indexed",
        "the content of a stored message replaced by a number",
        held_data.message_not_indexable,
        "ParleySearchFailed",
        finding="(errors)",
    ),
    _row(
        "newer-event",
        "an event of a newer version arrives",
        "an unknown kind, published on Redis",
        held_data.newer_event,
        "ParleyUnknownKinds",
        finding="gateway-1 (kinds)",
    ),
    _row(
        "newer-record",
        "a record of a newer version arrives",
        "an unknown kind, published on RabbitMQ",
        held_data.newer_record,
        "ParleyUnknownKinds",
        finding="(kinds)",
    ),
    _row(
        "record-unreadable",
        "a record cannot be read",
        "garbage, published on RabbitMQ",
        held_data.unreadable_record,
        "ParleyDeadLetters",
        finding="rabbitmq (dead_letters)",
    ),
    _row(
        "message-unreadable",
        "a request meets a bug",
        "the content of a stored message replaced by a number, and read",
        held_data.message_not_readable,
        "ParleyInternalErrors",
        finding="(errors)",
    ),
    _row(
        "client-floods",
        "a client floods",
        "ten reads a second for 100 s, with one a second allowed",
        held.client_floods,
        "ParleyRateLimited",
        refusal=(RATE_LIMITED,),
        finding="(refusals)",
    ),
)
