"""Redis: pub/sub between services and gateways, and presence leases; nothing in it must survive.

In a cluster one Redis has a replica, and three sentinels decide which of the two is the master.
"""

from dataclasses import replace
from pathlib import Path

from parley.stack.hosts import Host
from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths, quoted, write
from parley.stack.readiness import redis_answers

MASTER_NAME = "parley"
"""The name by which clients ask sentinels for the master's address."""
REDIS_HOSTS = 2
"""The hosts of a cluster that hold Redis: a master and its replica."""

_CONFIG = """\
bind {address}
port {port}
dir {directory}
daemonize no
logfile ""
save ""
appendonly no
maxclients 10000
tcp-backlog 511
"""
# Only the hosts of the stack reach their addresses, so protected mode has nothing to protect here.
_CLUSTER_CONFIG = """\
protected-mode no
repl-diskless-sync-delay 0
"""
_SENTINEL_CONFIG = """\
bind {address}
port {port}
dir {directory}
protected-mode no
sentinel monitor {master} {master_address} {master_port} 2
sentinel down-after-milliseconds {master} 2000
sentinel failover-timeout {master} 10000
"""

_RUN_ON_A_COPY = 'cmp -s "$0" "$1.from" || { cp "$0" "$1" && cp "$0" "$1.from"; } && exec "$2" "$1" $3'
"""Shell: run a server on a copy of its configuration, copied anew when the original has changed.

Servers of a cluster write the roles into their configuration, and must find them there after a restart.
"""


def redis(paths: StackPaths, port: int, host: Host) -> Part:
    """Return the Redis server of a host and write its configuration."""
    name = host.part("redis")
    directory, config = paths.data / name, paths.config / f"{name}.conf"
    text = _CONFIG.format(address=host.address, port=port, directory=quoted(directory))
    write(config, text)
    return Part(
        name=name,
        tier=Tier.SERVERS,
        argv=(program("redis-server"), str(config)),
        directory=directory,
        address=host.address,
        port=port,
        ready=redis_answers(port, host.address),
    )


def clustered_redis(paths: StackPaths, port: int, host: Host, first: Host) -> Part:
    """Return the Redis server of one of a cluster's hosts; it begins as a replica unless it is the first."""
    alone = redis(paths, port, host)
    config = paths.config / f"{alone.name}-cluster.conf"
    replica = "" if host == first else f"replicaof {first.address} {port}\n"
    write(config, (paths.config / f"{alone.name}.conf").read_text() + _CLUSTER_CONFIG + replica)
    return replace(alone, argv=_on_a_copy(alone.directory, config, host))


def sentinel(paths: StackPaths, port: int, redis_port: int, host: Host, first: Host) -> Part:
    """Return the sentinel of a host and write its configuration."""
    name = host.part("sentinel")
    directory, config = paths.data / name, paths.config / f"{name}.conf"
    text = _SENTINEL_CONFIG.format(
        address=host.address,
        port=port,
        directory=quoted(directory),
        master=MASTER_NAME,
        master_address=first.address,
        master_port=redis_port,
    )
    write(config, text)
    return Part(
        name=name,
        tier=Tier.SERVERS,
        argv=_on_a_copy(directory, config, host, "--sentinel"),
        directory=directory,
        address=host.address,
        port=port,
        ready=redis_answers(port, host.address),
    )


def _on_a_copy(directory: Path, config: Path, host: Host, option: str = "") -> tuple[str, ...]:
    copy = directory / config.name
    return host.command(
        "/bin/sh", "-c", _RUN_ON_A_COPY, str(config), str(copy), program("redis-server"), option
    )
