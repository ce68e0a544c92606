"""RabbitMQ, alone or as a cluster of three, with its own name server (epmd), cookie and ports."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from parley.stack.errors import StackError
from parley.stack.hosts import Host
from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths, write
from parley.stack.ports import Ports
from parley.stack.readiness import amqp_answers, listens

RABBITMQCTL_TIMEOUT = 60.0
"""Seconds."""

USER = "parley"
_SCRIPTS = "/usr/lib/rabbitmq/bin"
"""Debian's commands on the PATH insist on their own user and directories; these scripts do not."""

_CONFIG = """\
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
"""

_CLUSTER_CONFIG = """\
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
"""

_NODE_LOST_SECONDS = 8
"""After about this time without an answer a node of a cluster counts as lost; Erlang's default is 60."""
_CONNECT_SECONDS = 1
"""Time for a connection to another node; Erlang's default is 7.

A frozen node still accepts connections in its kernel. A process that sends to that node waits for the
connection: a channel would confirm nothing meanwhile, not even what the other nodes have.
"""

_SYNC_QUEUE_NAMES = (
    "spawn(fun()->rabbit:await_startup(),"
    "[ra:trigger_election(amqqueue:get_pid(Q))||Q<-rabbit_amqqueue:list_local_quorum_queues()],"
    "{ok,Names}=ra_system:lookup_name(quorum_queues,directory_rev),"
    "timer:apply_interval(200,dets,sync,[Names]),timer:sleep(infinity)end)."
)
"""Write the names of quorum queues to disk every 200 ms.

The broker by itself writes a new queue's name seconds after the queue's messages. If it is killed in between,
it restarts with an empty queue that never elects a leader. The code has no blanks because the start script
splits at them.
"""

_END_WHEN_SPLIT = (
    "spawn(fun()->F=fun(G,Met,Waited)->timer:sleep(500),"
    "Up=(catch(rabbit:is_running()))=:=true,"
    "All=(catch(length(rabbit_mnesia:cluster_nodes(all)))),"
    "Lost=(catch(length(rabbit_node_monitor:partitions()))),"
    "Few=is_integer(All)andalso(2*(1+length(nodes()))=<All),"
    "Split=is_integer(All)andalso(is_integer(Lost))andalso(2*Lost>All),"
    "Waits=(not(Up))andalso(not(Few))andalso(is_integer(All))andalso(All>1),"
    "(((Met)andalso((Few)orelse(Split)))orelse(Waited>60))andalso(erlang:halt(1)),"
    "G(G,(Met)orelse((Up)andalso(not(Few))),maps:get(Waits,#{true=>Waited+1,false=>0}))end,"
    "F(F,false,0)end)."
)
"""End a node that is split from more than half of its cluster; its supervisor starts it again.

A node that was frozen and goes on is connected to the others again before it counts them, so `pause_minority`
does not pause it. It keeps its own list of exclusive queues from then on, and its workers think that they are
alone. `autoheal` needs up to 30 s for the split that a cut leaves.

A node that starts just as it reaches the others again may wait for minutes for a lock of Erlang's `global`
that nobody holds. After 30 s beside a majority it is started once more.
"""


def epmd(paths: StackPaths, port: int, host: Host, addresses: Sequence[str]) -> Part:
    """Return Erlang's name server, which runs in the foreground so that it ends with the stack."""
    name = host.part("epmd")
    return Part(
        name=name,
        tier=Tier.NAMES,
        argv=host.command(program("epmd"), "-address", ",".join(addresses), "-port", str(port)),
        directory=paths.data / name,
        address=host.address,
        port=port,
        ready=listens(port, host.address),
    )


def rabbitmq(paths: StackPaths, ports: Ports, password: str, host: Host, hosts: Sequence[Host]) -> Part:
    """Return the RabbitMQ node of a host, clustered with those of `hosts`, and write its configuration."""
    name = host.part("rabbitmq")
    _configure(paths, ports, password, host, hosts)
    return Part(
        name=name,
        tier=Tier.SERVERS,
        argv=host.command(program("rabbitmq-server", f"{_SCRIPTS}/rabbitmq-server")),
        directory=paths.data / name,
        address=host.address,
        port=ports.amqp,
        ready=amqp_answers(ports.amqp, host.address),
        env=_environment(paths, ports, host) | {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _erlang_options(host)},
    )


def _erlang_options(host: Host) -> str:
    interface = host.address.replace(".", ",")
    return (
        "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none "
        f"-kernel inet_dist_use_interface {{{interface}}} net_ticktime {_NODE_LOST_SECONDS} "
        f"-kernel net_setuptime {_CONNECT_SECONDS} "
        f"-start_epmd false -eval {_SYNC_QUEUE_NAMES} -eval {_END_WHEN_SPLIT}"
    )


def run_rabbitmqctl(paths: StackPaths, ports: Ports, host: Host, arguments: Sequence[str]) -> str:
    """Run rabbitmqctl against a host's node and return its output.

    Raises:
        StackError: it failed or did not end in time.
    """
    return run_tool(paths, ports, host, "rabbitmqctl", arguments)


def run_tool(paths: StackPaths, ports: Ports, host: Host, tool: str, arguments: Sequence[str]) -> str:
    """Run one of RabbitMQ's tools against a host's node and return its output.

    Raises:
        StackError: it failed or did not end in time.
    """
    command = host.command(program(tool, f"{_SCRIPTS}/{tool}"), *arguments)
    title = f"{tool} {' '.join(arguments)}"
    try:
        done = subprocess.run(
            command,
            env=_rabbitmqctl_environment(paths, ports, host),
            capture_output=True,
            text=True,
            check=False,
            timeout=RABBITMQCTL_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"{title} did not end within {RABBITMQCTL_TIMEOUT:.0f} s.") from None
    if done.returncode:
        raise StackError(f"{title} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _rabbitmqctl_environment(paths: StackPaths, ports: Ports, host: Host) -> dict[str, str]:
    # Any Erlang program starts an epmd that outlives it where it finds none.
    no_epmd = {"RABBITMQ_CTL_ERL_ARGS": "-start_epmd false"}
    return {"PATH": os.environ.get("PATH", os.defpath), **_environment(paths, ports, host), **no_epmd}


def _configure(paths: StackPaths, ports: Ports, password: str, host: Host, hosts: Sequence[Host]) -> None:
    text = _CONFIG.format(host=host.address, port=ports.amqp, user=USER, password=password)
    if len(hosts) > 1:
        text += _CLUSTER_CONFIG + "".join(map(_peer, hosts))
        # Nodes of a cluster accept each other by a common secret.
        write(_data(paths, host) / ".erlang.cookie", password, mode=0o400)
    write(_config(paths, host), text)
    write(paths.config / "rabbitmq-env.conf", "# Empty, instead of the system's own file.\n")
    write(paths.config / "enabled_plugins", "[].\n")


def _peer(host: Host) -> str:
    return f"cluster_formation.classic_config.nodes.{host.number} = {node_name(host)}\n"


def node_name(host: Host) -> str:
    """Return the node's name: by address, so that the start depends on no name resolution."""
    return f"rabbit{host.number or ''}@{host.address}"


def _data(paths: StackPaths, host: Host) -> Path:
    return paths.data / host.part("rabbitmq")


def _config(paths: StackPaths, host: Host) -> Path:
    return paths.config / f"{host.part('rabbitmq')}.conf"


def _environment(paths: StackPaths, ports: Ports, host: Host) -> dict[str, str]:
    data = _data(paths, host)
    return {
        "HOME": str(data),
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": host.address,
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_NODENAME": node_name(host),
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_DIST_PORT": str(ports.erlang(host.number)),
        "RABBITMQ_CONF_ENV_FILE": str(paths.config / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(_config(paths, host).with_suffix("")),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(paths.config / "rabbitmq-advanced"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(paths.config / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "config"),
        "RABBITMQ_SCHEMA_DIR": str(data / "schema"),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(data / "feature_flags"),
        "RABBITMQ_LOG_BASE": str(paths.logs),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(data / "pid"),
        # Makes the script exec the Erlang VM instead of waiting for it as a shell.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
