"""The table of a cluster's faults: every fault, its cause and its bounds."""

from functools import partial

from faults.row import Row
from faults.rows import cluster, cluster_losses, cluster_splits, servers

REFUSALS = ("UNAVAILABLE", "OVERLOADED")
REFUSED_SECONDS = 15.0
"""Seconds for which sends may be refused after one host or server is lost."""
FREED_SECONDS = cluster.AWAY_SECONDS + 15.0
LOST_SECONDS = cluster_losses.FROZEN_SECONDS + REFUSED_SECONDS
"""Seconds after which what was sent while nothing could be stored is received."""

LOSSES = (
    Row(
        name="primary-lost-frozen-disks",
        fault="replication stands still, then the primary is lost for good",
        done="fsyncLock of both secondaries; 15 s later SIGKILL, its data removed, theirs unlocked",
        run=cluster_losses.primary_lost_after_frozen_disks,
        silence=LOST_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=150,
        refusal=REFUSALS,
    ),
    Row(
        name="primary-lost-frozen-members",
        fault="both secondaries are frozen, then the primary is lost for good",
        done="SIGSTOP to both; 15 s later SIGKILL to the primary, its data removed, SIGCONT to both",
        run=cluster_losses.primary_lost_after_frozen_members,
        silence=LOST_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=150,
        refusal=REFUSALS,
    ),
    Row(
        name="two-owners",
        fault="two owners of a partition are on the two sides of a cut",
        done="a worker's writes held back, its host cut off; the others store, then its writes arrive",
        run=cluster_splits.two_owners,
        silence=2 * REFUSED_SECONDS,
        recovery=2 * REFUSED_SECONDS,
        bound=150,
        cuts=True,
        unreachable=True,
        refusal=REFUSALS,
    ),
    Row(
        name="rabbitmq-full-node",
        fault="one RabbitMQ node has no disk left",
        done="disk alarm at host 2 for 4 s: no node reads from gateways",
        run=partial(servers.rabbitmq_alarmed, host=2),
        silence=REFUSED_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=120,
        refusal=REFUSALS,
    ),
)
"""Rows in which a cluster loses data."""

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
    *LOSSES,
)
