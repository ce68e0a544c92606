"""A Redis with one replica and three sentinels on loopback, whose master tests kill and freeze."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import redis

from parley.stack.parts.part import program
from parley.stack.ports import LOOPBACK, free_base
from parley.stack.readiness import redis_answers

NAME = "parley"
SENTINELS = 3
DOWN_MILLISECONDS = 1_000
START_SECONDS = 40.0

SERVER = """\
bind 127.0.0.1
port {port}
dir {directory}
save ""
appendonly no
repl-diskless-sync-delay 0
{replica_of}
"""

SENTINEL = f"""\
bind 127.0.0.1
port {{port}}
dir {{directory}}
sentinel monitor {NAME} {LOOPBACK} {{master}} 2
sentinel down-after-milliseconds {NAME} {DOWN_MILLISECONDS}
sentinel failover-timeout {NAME} 4000
"""


class RedisServer:
    """A Redis server, or a sentinel."""

    def __init__(self, directory: Path, port: int, config: str, *options: str) -> None:
        self.port = port
        self._options = options
        self._directory = directory / str(port)
        self._directory.mkdir()
        # Redis and its sentinels write what they have learnt into their configuration.
        self._config = self._directory / "redis.conf"
        self._config.write_text(config.replace("{directory}", str(self._directory)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and return when it answers."""
        with (self._directory / "log").open("ab") as log:
            command = [program("redis-server"), str(self._config), *self._options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(redis_answers(self.port), f"Redis does not answer on {self.port}")

    def signal(self, number: int) -> None:
        """Send a signal to the server."""
        assert self._process is not None, "it was never started"
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    def role(self) -> str:
        """Return `master`, or the state of a replica's link to its master: `connected` when it follows."""
        with redis.Redis(host=LOOPBACK, port=self.port, socket_timeout=1, decode_responses=True) as client:
            role: list[str] = client.role()  # type: ignore[assignment]
            return role[0] if role[0] == "master" else role[3]

    def follow(self, master: "RedisServer") -> None:
        """Become a replica of a server."""
        with redis.Redis(host=LOOPBACK, port=self.port, socket_timeout=1) as client:
            client.replicaof(LOOPBACK, master.port)


class RedisSentinel:
    """A master, a replica and the sentinels that watch them."""

    def __init__(self, directory: Path) -> None:
        base = free_base()
        self.servers = [
            RedisServer(directory, base, SERVER.replace("{port}", str(base)).replace("{replica_of}", "")),
            RedisServer(
                directory,
                base + 1,
                SERVER.replace("{port}", str(base + 1)).replace(
                    "{replica_of}", f"replicaof {LOOPBACK} {base}"
                ),
            ),
        ]
        self._sentinels = [
            RedisServer(
                directory,
                port,
                SENTINEL.replace("{port}", str(port)).replace("{master}", str(base)),
                "--sentinel",
            )
            for port in range(base + 10, base + 10 + SENTINELS)
        ]

    @property
    def url(self) -> str:
        """The URL that names the sentinels."""
        return f"redis+sentinel://{self.hosts}/{NAME}/0"

    @property
    def hosts(self) -> str:
        """The sentinels' hosts and ports."""
        return ",".join(f"{LOOPBACK}:{sentinel.port}" for sentinel in self._sentinels)

    @property
    def master(self) -> RedisServer:
        """The server that the sentinels name as the master."""
        port = self._state(self._sentinels[0])["port"]
        return next(server for server in self.servers if server.port == port)

    def start(self) -> None:
        """Start all servers, and return when a failover would succeed."""
        for server in [*self.servers, *self._sentinels]:
            server.start()
        wait_until(self._is_complete, "the sentinels do not know a master with a replica")

    def stop(self) -> None:
        """Kill all servers."""
        for server in [*self.servers, *self._sentinels]:
            server.kill()

    def repair(self) -> None:
        """Start what does not run, continue what is frozen; return when the next failover would succeed."""
        for server in [*self.servers, *self._sentinels]:
            server.signal(signal.SIGCONT) if server.runs else server.start()
        master = self.master
        for server in self.servers:
            if server is not master:
                # The sentinels do the same, some ten seconds later.
                server.follow(master)
        wait_until(self._is_complete, "the sentinels do not know a master with a replica")

    def kill_master(self) -> RedisServer:
        """Kill the master; return it, to be started again."""
        master = self.master
        master.kill()
        return master

    def freeze_master(self) -> RedisServer:
        """Freeze the master; return it, to be continued."""
        master = self.master
        master.signal(signal.SIGSTOP)
        return master

    def _state(self, sentinel: RedisServer) -> dict[str, object]:
        with redis.Redis(
            host=LOOPBACK, port=sentinel.port, socket_timeout=1, decode_responses=True
        ) as client:
            state: dict[str, object] = client.sentinel_master(NAME)  # type: ignore[assignment]
            return state

    def _is_complete(self) -> bool:
        """Return whether each sentinel knows the others, one master, and a replica that follows it."""
        try:
            states = [self._state(sentinel) for sentinel in self._sentinels]
            replicas = [state for sentinel in self._sentinels for state in self._replicas(sentinel)]
            roles = sorted(server.role() for server in self.servers)
        except redis.RedisError:
            return False
        return (
            all(state["num-other-sentinels"] == SENTINELS - 1 for state in states)
            and {state["flags"] for state in states} == {"master"}
            and len({state["port"] for state in states}) == 1
            and [replica["flags"] for replica in replicas] == ["slave"] * SENTINELS
            and roles == ["connected", "master"]
        )

    def _replicas(self, sentinel: RedisServer) -> list[dict[str, object]]:
        with redis.Redis(
            host=LOOPBACK, port=sentinel.port, socket_timeout=1, decode_responses=True
        ) as client:
            states: list[dict[str, object]] = client.sentinel_slaves(NAME)  # type: ignore[assignment]
            return states


def wait_until(condition: Callable[[], bool], complaint: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.05)
