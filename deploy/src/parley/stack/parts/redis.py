"""Redis: the bus between the gateways and the presence leases, nothing that must survive."""

from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths, write
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


def redis(place: StackPaths, port: int) -> Part:
    directory = place.data / "redis"
    config = place.config / "redis.conf"
    write(config, _CONFIG.format(port=port, directory=_quoted(str(directory))))
    return Part(
        name="redis",
        tier=Tier.SERVERS,
        argv=(program("redis-server"), str(config)),
        directory=directory,
        port=port,
        ready=redis_answers(port),
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
