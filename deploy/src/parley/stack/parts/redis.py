"""Redis: pub/sub between services and gateways, and presence leases; nothing in it must survive."""

from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths, quoted, write
from parley.stack.readiness import redis_answers

_CONFIG = """\
bind 127.0.0.1
port {port}
dir {directory}
daemonize no
logfile ""
save ""
appendonly no
maxclients 10000
tcp-backlog 511
"""


def redis(paths: StackPaths, port: int) -> Part:
    """Return the Redis server and write its configuration."""
    directory = paths.data / "redis"
    config = paths.config / "redis.conf"
    write(config, _CONFIG.format(port=port, directory=quoted(directory)))
    return Part(
        name="redis",
        tier=Tier.SERVERS,
        argv=(program("redis-server"), str(config)),
        directory=directory,
        port=port,
        ready=redis_answers(port),
    )
