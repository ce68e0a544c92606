"""A Redis Cluster of three masters with a replica each on loopback, which tests break and repair."""

import signal
from pathlib import Path
from typing import Any

import redis

from clients.redis_sentinel import RedisServer, wait_until
from parley.shared.cluster import SLOTS, slot_of
from parley.stack.ports import LOOPBACK, free_base

MASTERS = 3
NODE_TIMEOUT_MILLISECONDS = 1_000

# A node names no replica that has received nothing yet, and a ping each 10 s would be the first.
CONFIG = f"""\
bind 127.0.0.1
port {{port}}
cluster-port {{bus_port}}
dir {{directory}}
save ""
appendonly no
repl-diskless-sync-delay 0
repl-ping-replica-period 1
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout {NODE_TIMEOUT_MILLISECONDS}
cluster-replica-validity-factor 0
cluster-require-full-coverage no
"""


class RedisCluster:
    """The servers of a cluster."""

    def __init__(self, directory: Path) -> None:
        base, count = free_base(), 2 * MASTERS
        self.servers = [
            RedisServer(
                directory,
                port,
                CONFIG.replace("{port}", str(port)).replace("{bus_port}", str(port + count)),
            )
            for port in range(base, base + count)
        ]

    @property
    def url(self) -> str:
        """The URL that names all nodes."""
        return f"redis+cluster://{','.join(f'{LOOPBACK}:{server.port}' for server in self.servers)}"

    def start(self) -> None:
        """Start all servers, join them and return when a failover would succeed."""
        for server in self.servers:
            server.start()
        masters, replicas = self.servers[:MASTERS], self.servers[MASTERS:]
        ids = {}
        for number, server in enumerate(masters):
            first, end = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS
            ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            ask(server, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            ids[server] = ask(server, "CLUSTER", "MYID")
        port = self.servers[0].port
        for server in self.servers[1:]:
            ask(server, "CLUSTER", "MEET", LOOPBACK, port, port + len(self.servers))
        for replica, master in zip(replicas, masters, strict=True):
            wait_until(lambda replica=replica, master=master: ids[master] in nodes(replica), "no meeting")
            ask(replica, "CLUSTER", "REPLICATE", ids[master])
        wait_until(self._is_complete, "the cluster is not complete")

    def stop(self) -> None:
        """Kill all servers."""
        for server in self.servers:
            server.kill()

    def repair(self) -> None:
        """Start what does not run, continue what is frozen; return when the next failover would succeed."""
        for server in self.servers:
            server.signal(signal.SIGCONT) if server.runs else server.start()
        wait_until(self._is_complete, "the cluster is not complete")

    @property
    def masters(self) -> list[RedisServer]:
        """The servers that are masters."""
        return [server for server in self.servers if server.role() == "master"]

    def master_of(self, key: str) -> RedisServer:
        """Return the master of a key or a channel, as the servers that run say."""
        slot = slot_of(key)
        for server in self.servers:
            if not server.runs:
                continue
            for first, last, master, *_ in ask(server, "CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return next(each for each in self.servers if each.port == int(master[1]))
        raise AssertionError(f"slot {slot} has no master")

    def replica_of(self, master: RedisServer) -> RedisServer:
        """Return the replica of a master."""
        ports = [int(line.split()[1].partition("@")[0].rpartition(":")[2]) for line in replicas_of(master)]
        return next(server for server in self.servers if server.port == ports[0])

    def move_slot(self, key: str, target: RedisServer) -> RedisServer:
        """Move the slot of a key, with its keys, to another master; return the one that had it."""
        slot, source = slot_of(key), self.master_of(key)
        source_id, target_id = ask(source, "CLUSTER", "MYID"), ask(target, "CLUSTER", "MYID")
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            ask(source, "MIGRATE", LOOPBACK, target.port, "", 0, 5_000, "KEYS", *keys)
        for server in (target, source, *self.masters):
            ask(server, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
        return source

    def _is_complete(self) -> bool:
        """Return whether all nodes agree that each of the masters has a replica that follows it."""
        try:
            roles = sorted(server.role() for server in self.servers)
            states = [str(ask(server, "CLUSTER", "INFO")) for server in self.servers]
            views = {replica_counts(server) for server in self.servers}
        except redis.RedisError:
            return False
        return (
            roles == ["connected"] * MASTERS + ["master"] * MASTERS
            and all("cluster_state:ok" in state for state in states)
            and views == {(1,) * MASTERS}
            and not any("fail" in nodes(server) for server in self.servers)
        )


def ask(server: RedisServer, *command: str | int) -> Any:
    """Run a command at one server."""
    with redis.Redis(host=LOOPBACK, port=server.port, socket_timeout=5, decode_responses=True) as client:
        connection = client.connection_pool.get_connection()
        connection.send_command(*command)
        return connection.read_response()


def nodes(server: RedisServer) -> str:
    """Return what a server knows of all nodes."""
    return str(ask(server, "CLUSTER", "NODES"))


def replicas_of(master: RedisServer) -> list[str]:
    """Return the lines of a master's replicas."""
    found: list[str] = ask(master, "CLUSTER", "REPLICAS", ask(master, "CLUSTER", "MYID"))
    return found


def replica_counts(server: RedisServer) -> tuple[int, ...]:
    """Return the number of replicas of each master that has slots, as a server sees it."""
    ranges = ask(server, "CLUSTER", "SLOTS")
    return tuple({each[0][1]: len(each) - 1 for _, _, *each in ranges}.values())
