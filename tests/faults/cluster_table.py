"""The table of a cluster's faults: every fault, its cause and its bounds."""

from functools import partial

from faults.row import Row
from faults.rows import (
    cluster,
    cluster_disks,
    cluster_frozen,
    cluster_losses,
    cluster_restarts,
    cluster_splits,
    restored,
    servers,
    upgrades,
)

REFUSALS = ("UNAVAILABLE", "OVERLOADED")
REFUSED_SECONDS = 15.0
"""Seconds for which sends may be refused after one host or server is lost."""
FREED_SECONDS = cluster.AWAY_SECONDS + REFUSED_SECONDS
NO_MAJORITY_SECONDS = cluster_restarts.LONGEST_AWAY_SECONDS + REFUSED_SECONDS
"""Seconds for which effects may last where two of three servers are away at once: no majority is left."""

NOT_JUDGED = float("inf")
LOST_SECONDS = cluster_losses.FROZEN_SECONDS + REFUSED_SECONDS
"""Seconds after which what was sent while nothing could be stored is received."""

# One server is away: the others have a majority.
_server_row = partial(
    Row,
    silence=REFUSED_SECONDS,
    recovery=REFUSED_SECONDS,
    bound=150,
    refusal=REFUSALS,
    refused=REFUSED_SECONDS,
)
# The clients of the host's gateway notice only by their time-outs that the link is down.
_cut_row = partial(
    Row,
    silence=FREED_SECONDS,
    recovery=2 * REFUSED_SECONDS,
    bound=150,
    cuts=True,
    unreachable=True,
    refusal=REFUSALS,
    refused=FREED_SECONDS,
)
_restart_row = partial(
    Row,
    silence=REFUSED_SECONDS,
    recovery=REFUSED_SECONDS,
    bound=240,
    refusal=REFUSALS,
    refused=REFUSED_SECONDS,
)

KILLED = (
    *(
        _server_row(
            name=f"rabbitmq-{number}-killed",
            fault=f"the RabbitMQ node of host {number} is killed",
            done="SIGKILL, 12 s later started again",
            run=partial(cluster.rabbitmq_node_killed, number=number),
        )
        for number in (1, 2, 3)
    ),
    _server_row(
        name="redis-master-killed",
        fault="the master of Redis is killed",
        done="SIGKILL, 12 s after the failover started again",
        run=cluster.redis_master_killed,
        refusal=(),
    ),
    _server_row(
        name="mongodb-primary-killed",
        fault="the primary of MongoDB is killed",
        done="SIGKILL, 12 s after the election started again",
        run=cluster.mongodb_primary_killed,
        refusal=(),
        tested=True,
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
        refused=REFUSED_SECONDS,
    ),
)

FROZEN = (
    *(
        _server_row(
            name=f"rabbitmq-{number}-frozen",
            fault=f"the RabbitMQ node of host {number} is frozen",
            done="SIGSTOP, 15 s later SIGCONT",
            run=partial(cluster_frozen.rabbitmq_node_frozen, number=number),
        )
        for number in (1, 2, 3)
    ),
    _server_row(
        name="redis-master-frozen",
        fault="the master of Redis is frozen",
        done="SIGSTOP, after the failover SIGCONT",
        run=cluster_frozen.redis_master_frozen,
        refusal=(),
    ),
    _server_row(
        name="mongodb-primary-frozen",
        fault="the primary of MongoDB is frozen",
        done="SIGSTOP, after the election SIGCONT",
        run=cluster_frozen.mongodb_primary_frozen,
        refusal=(),
    ),
    _server_row(
        name="mongodb-secondary-frozen",
        fault="a secondary of MongoDB is frozen",
        done="SIGSTOP, 15 s later SIGCONT",
        run=cluster_frozen.mongodb_secondary_frozen,
        refusal=(),
    ),
)

CUT_OFF = (
    *(
        _cut_row(
            name=f"host-{number}-cut-off",
            fault=f"host {number} is cut off from the others",
            done="its link is down for 12 s",
            run=partial(cluster.host_cut_off, number=number),
        )
        for number in (1, 2, 3)
    ),
    _cut_row(
        name="host-with-primaries-cut-off",
        fault="the host of MongoDB's primary and Redis' master is cut off",
        done="the primary moved to the master's host; its link is down for 12 s",
        run=cluster.host_with_primaries_cut_off,
    ),
)

ELECTIONS = (
    _server_row(
        name="mongodb-stepped-down",
        fault="the primary of MongoDB steps down",
        done="replSetStepDown, three times in a row",
        run=cluster.mongodb_stepped_down,
        refusal=(),
    ),
    _server_row(
        name="mongodb-elections",
        fault="MongoDB elects a primary every 10 s for a minute",
        done="replSetStepDown, six times",
        run=cluster.mongodb_elections,
        refusal=(),
    ),
)

RESTARTED = (
    _restart_row(
        name="rabbitmq-nodes-away",
        fault="a RabbitMQ node is killed while another one restarts",
        done="no majority for 5 s and the start of both: sends are refused",
        run=partial(cluster_restarts.rabbitmq_nodes_away, killed=1, restarted=2),
        silence=NO_MAJORITY_SECONDS,
        refused=NO_MAJORITY_SECONDS,
    ),
    _restart_row(
        name="mongodb-members-away",
        fault="the primary of MongoDB is killed while a secondary restarts",
        done="no majority for 5 s and the start of both: messages wait",
        run=cluster_restarts.mongodb_members_away,
        silence=NO_MAJORITY_SECONDS,
    ),
    _restart_row(
        name="redis-away",
        fault="the master of Redis is killed while its replica restarts",
        done="no Redis for 5 s and the start of both: messages are stored meanwhile",
        run=cluster_restarts.redis_away,
        silence=NO_MAJORITY_SECONDS,
        refusal=(),
    ),
    _restart_row(
        name="rabbitmq-restarted",
        fault="the RabbitMQ nodes are restarted one by one",
        done="SIGTERM; the next one once all is as before",
        run=cluster_restarts.rabbitmq_restarted,
    ),
    _restart_row(
        name="mongodb-restarted",
        fault="the members of MongoDB are restarted one by one",
        done="SIGTERM, the primary last",
        run=cluster_restarts.mongodb_restarted,
        refusal=(),
    ),
    _restart_row(
        name="redis-restarted",
        fault="Redis and its sentinels are restarted one by one",
        done="SIGTERM: the replica, the sentinels, the master",
        run=cluster_restarts.redis_restarted,
        refusal=(),
    ),
    _restart_row(
        name="hosts-restarted",
        fault="the hosts are restarted one by one",
        done="SIGTERM to all of a host, services first; the next one once all is as before",
        run=cluster_restarts.hosts_restarted,
        cuts=True,
    ),
)

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
        name="host-lost",
        fault="a host is lost with its data, and another one is killed once the first is back",
        done="SIGKILL to all of host 1, its data removed, started again; then SIGKILL to all of host 2",
        run=partial(cluster_losses.host_lost, number=1, then=2),
        silence=LOST_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=180,
        cuts=True,
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
    *(
        Row(
            name=f"cluster-upgrade-{first}-first",
            fault=f"a rolling upgrade of a cluster, {first} first",
            done=f"{first}, then {second}, of 0.2.0 with the URLs of single servers, replaced in turn",
            run=run,
            silence=15,
            recovery=REFUSED_SECONDS,
            bound=240,
            cuts=True,
        )
        for first, second, run in (
            ("workers", "gateways", upgrades.workers_first),
            ("gateways", "workers", upgrades.gateways_first),
        )
    ),
    Row(
        name="redis-failed-over",
        fault="Redis is failed over, and its last seconds are lost",
        done="the replica cut off from the master; 2.5 s later SIGKILL to the master",
        run=cluster_splits.redis_failed_over_with_losses,
        silence=REFUSED_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=150,
        # The cut takes the hosts' other servers from each other too, for these seconds.
        refusal=REFUSALS,
    ),
    *(
        Row(
            name=f"mongodb-restored-{name}",
            fault=f"MongoDB is restored to an earlier point while the services {state}",
            done="all members get the snapshot of one; judged is what was accepted after that",
            run=run,
            silence=NOT_JUDGED,
            recovery=LOST_SECONDS,
            bound=300,
            cuts=True,
            refusal=REFUSALS,
        )
        for name, state, run in (
            ("running", "run", restored.while_services_run),
            ("stopped", "are stopped", restored.while_services_are_stopped),
        )
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
    Row(
        name="mongodb-full-member",
        fault="the primary of MongoDB has no disk left",
        done="a file system filled up: the member ends with a fatal error; 12 s later emptied",
        run=cluster_disks.mongodb_disk_full,
        silence=REFUSED_SECONDS,
        recovery=REFUSED_SECONDS,
        bound=180,
    ),
)
"""Rows in which a cluster loses data."""

ROWS = (*KILLED, *FROZEN, *CUT_OFF, *ELECTIONS, *RESTARTED, *LOSSES)
