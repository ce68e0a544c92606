"""The table of a cluster's faults: every fault, its cause and its bounds."""

from functools import partial

from faults.row import Row
from faults.rows import cluster

REFUSALS = ("UNAVAILABLE", "OVERLOADED")
REFUSED_SECONDS = 15.0
"""Seconds for which sends may be refused after one host or server is lost."""
FREED_SECONDS = cluster.AWAY_SECONDS + 15.0

ROWS = (
    *(
        Row(
            name=f"rabbitmq-{number}-killed",
            fault=f"the RabbitMQ node of host {number} is killed",
            done="SIGKILL, 12 s later started again",
            run=partial(cluster.rabbitmq_node_killed, number=number),
            silence=REFUSED_SECONDS,
            recovery=REFUSED_SECONDS,
            bound=150,
            refusal=REFUSALS,
            tested=number == 1,
        )
        for number in (1, 2, 3)
    ),
    Row(
        name="redis-master-killed",
        fault="the master of Redis is killed",
        done="SIGKILL, 12 s after the failover started again",
        run=cluster.redis_master_killed,
        silence=REFUSED_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=120,
        tested=True,
    ),
    Row(
        name="mongodb-primary-killed",
        fault="the primary of MongoDB is killed",
        done="SIGKILL, 12 s after the election started again",
        run=cluster.mongodb_primary_killed,
        silence=REFUSED_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=120,
        tested=True,
    ),
    Row(
        name="mongodb-stepped-down",
        fault="the primary of MongoDB steps down",
        done="replSetStepDown, three times in a row",
        run=cluster.mongodb_stepped_down,
        silence=REFUSED_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=150,
    ),
    Row(
        name="host-killed",
        fault="a host is lost and comes back",
        done="SIGKILL to all of host 2, 12 s later started again",
        run=partial(cluster.host_killed, number=2),
        silence=FREED_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=150,
        cuts=True,
        refusal=REFUSALS,
    ),
    Row(
        name="host-cut-off",
        fault="a host is cut off from the others",
        done="the link of host 3 is down for 12 s",
        run=partial(cluster.host_cut_off, number=3),
        silence=FREED_SECONDS,
        recovery=2 * REFUSED_SECONDS,
        bound=150,
        cuts=True,
        unreachable=True,
        refusal=REFUSALS,
    ),
)
