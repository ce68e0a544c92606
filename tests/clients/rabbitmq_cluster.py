"""Three RabbitMQ nodes on loopback, which tests kill, freeze and cut off from each other."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from parley.stack.parts.part import program
from parley.stack.ports import LOOPBACK, free_base
from parley.stack.readiness import amqp_answers, listens

NODES = 3
USER, PASSWORD = "parley", "parley"
START_SECONDS = 90.0
CTL_SECONDS = 60.0
SCRIPTS = "/usr/lib/rabbitmq/bin"
TICK_SECONDS = 8
"""Seconds after which a node that does not answer counts as lost; Erlang's default is 60."""

CONFIG = """\
listeners.tcp.1 = {host}:{port}
default_user = {user}
default_pass = {password}
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
default_user_tags.administrator = true
log.console = true
log.console.level = info
log.file = false
disk_free_limit.absolute = 200MB
raft.wal_max_size_bytes = 64000000
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
"""

ERLANG = (
    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none "
    f"-kernel inet_dist_use_interface {{127,0,0,1}} net_ticktime {TICK_SECONDS} net_setuptime 1 "
    "-start_epmd false"
)


class RabbitNode:
    """One node of the cluster."""

    def __init__(self, number: int, directory: Path, base: int) -> None:
        self.number = number
        self.name = f"rabbit{number}@{LOOPBACK}"
        self.port = base + number
        self._directory = directory / f"rabbit{number}"
        self._environment = _environment(self.name, self._directory, base)
        self._environment["RABBITMQ_DIST_PORT"] = str(base + 10 + number)
        self._process: subprocess.Popen[bytes] | None = None
        _configure(self._directory, self.port)

    @property
    def address(self) -> str:
        """The host and port for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """The URL of this node alone."""
        return f"amqp://{USER}:{PASSWORD}@{self.address}/"

    @property
    def runs(self) -> bool:
        """Whether the node's process runs."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the node's process, if it does not run."""
        if self.runs:
            return
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("rabbitmq-server", f"{SCRIPTS}/rabbitmq-server")],
                env=self._environment | {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start the node, and return when it accepts clients."""
        self.launch()
        _wait_until(amqp_answers(self.port), f"{self.name} does not answer")

    def signal(self, number: int) -> None:
        """Send a signal to the node and its helper processes."""
        assert self._process is not None, f"{self.name} was never started"
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Kill the node."""
        if self.runs:
            self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node; return its output."""
        command = [program("rabbitmqctl", f"{SCRIPTS}/rabbitmqctl"), "-q", *arguments]
        environment = self._environment | {"RABBITMQ_CTL_ERL_ARGS": "-start_epmd false"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=CTL_SECONDS
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr or done.stdout}"
        return done.stdout


class RabbitCluster:
    """Three nodes that form a cluster, with a name server of their own."""

    def __init__(self, directory: Path) -> None:
        base = free_base()
        self.nodes = [RabbitNode(number, directory, base) for number in range(1, NODES + 1)]
        self._epmd = subprocess.Popen(
            [program("epmd"), "-address", LOOPBACK, "-port", str(base)], start_new_session=True
        )
        _wait_until(listens(base), "epmd does not listen")

    @property
    def url(self) -> str:
        """A URL that names all nodes."""
        return f"amqp://{USER}:{PASSWORD}@{','.join(node.address for node in self.nodes)}/"

    def start(self) -> None:
        """Start the nodes that do not run; the first one first, so that the others find it."""
        for node in self.nodes:
            if any(other.runs for other in self.nodes):
                node.launch()
            else:
                node.start()
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        """Kill all nodes and the name server."""
        for node in self.nodes:
            node.kill()
        self._epmd.kill()
        self._epmd.wait(10)

    def leader(self, queue: str) -> RabbitNode:
        """Return the node that leads a queue, or holds it."""
        running = next(node for node in self.nodes if node.runs)
        code = f'rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>))'
        name = running.ctl("eval", f"{{ok, Q}} = {code}, amqqueue:qnode(Q).").strip().strip("'")
        return next(node for node in self.nodes if node.name == name)

    def node_of(self, gateway: str) -> RabbitNode:
        """Return the node that a gateway is connected to, by the gateway's node name."""
        for node in self.nodes:
            # A node that was cut off lists the connections of its own side.
            for line in node.ctl("list_connections", "pid", "client_properties").splitlines():
                pid, _, properties = line.partition("\t")
                if node.name in pid and f'parley gateway {gateway}"' in properties:
                    return node
        raise AssertionError(f"{gateway} is not connected")

    @asynccontextmanager
    async def cut_off(self, node: RabbitNode, handling: str = "pause_minority") -> AsyncIterator[None]:
        """Cut a node off from the others, as if its network failed; clients still reach it.

        The nodes refuse each other by a wrong cookie. The node is started again at the end: one that handled
        the cut by ignoring it needs that.
        """
        await asyncio.to_thread(self._cut, node, handling)
        try:
            yield
        finally:
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)

    def _cut(self, node: RabbitNode, handling: str) -> None:
        others = ",".join(f"'{other.name}'" for other in self.nodes if other is not node)
        refuse = "erlang:set_cookie(N, wrong), erlang:disconnect_node(N)"
        node.ctl("eval", f"application:set_env(rabbit, cluster_partition_handling, {handling}).")
        node.ctl("eval", f"[begin {refuse} end || N <- [{others}]].")


def _configure(directory: Path, port: int) -> None:
    directory.mkdir()
    peers = "".join(
        f"cluster_formation.classic_config.nodes.{n} = rabbit{n}@{LOOPBACK}\n" for n in range(1, NODES + 1)
    )
    config = CONFIG.format(host=LOOPBACK, port=port, user=USER, password=PASSWORD)
    (directory / "rabbitmq.conf").write_text(config + peers)
    (directory / "rabbitmq-env.conf").write_text("")
    (directory / "enabled_plugins").write_text("[].\n")
    cookie = directory / ".erlang.cookie"
    cookie.write_text("ACOOKIEFORTESTS")
    cookie.chmod(0o400)


def _environment(name: str, directory: Path, epmd: int) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(directory),
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_NODENAME": name,
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_CONF_ENV_FILE": str(directory / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "config"),
        "RABBITMQ_SCHEMA_DIR": str(directory / "schema"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(directory / "feature_flags"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        # Makes the script exec the Erlang VM instead of waiting for it as a shell.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _wait_until(condition: Callable[[], bool], complaint: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.1)
