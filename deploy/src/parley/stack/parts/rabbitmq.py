"""RabbitMQ as a node of its own, with its own name server (epmd), cookie and ports."""

import os
import subprocess
from collections.abc import Sequence

from parley.stack.errors import StackError
from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths, write
from parley.stack.ports import LOOPBACK, Ports
from parley.stack.readiness import amqp_answers, listens

RABBITMQCTL_TIMEOUT = 60.0
"""Seconds."""

USER = "parley"
NODE = f"rabbit@{LOOPBACK}"
"""By address, so that the start depends on no name resolution."""

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

_ERLANG = (
    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none "
    f"-kernel inet_dist_use_interface {{127,0,0,1}} -start_epmd false -eval {_SYNC_QUEUE_NAMES}"
)


def epmd(paths: StackPaths, port: int) -> Part:
    """Return Erlang's name server, which runs in the foreground so that it ends with the stack."""
    return Part(
        name="epmd",
        tier=Tier.NAMES,
        argv=(program("epmd"), "-address", LOOPBACK, "-port", str(port)),
        directory=paths.data / "epmd",
        port=port,
        ready=listens(port),
    )


def rabbitmq(paths: StackPaths, ports: Ports, password: str) -> Part:
    """Return the RabbitMQ node and write its configuration."""
    _configure(paths, ports, password)
    return Part(
        name="rabbitmq",
        tier=Tier.SERVERS,
        argv=(program("rabbitmq-server", f"{_SCRIPTS}/rabbitmq-server"),),
        directory=paths.data / "rabbitmq",
        port=ports.amqp,
        ready=amqp_answers(ports.amqp),
        env=_environment(paths, ports) | {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG},
    )


def run_rabbitmqctl(paths: StackPaths, ports: Ports, arguments: Sequence[str]) -> str:
    """Run rabbitmqctl against this stack's node and return its output.

    Raises:
        StackError: it failed or did not end in time.
    """
    command = [program("rabbitmqctl", f"{_SCRIPTS}/rabbitmqctl"), *arguments]
    title = f"rabbitmqctl {' '.join(arguments)}"
    try:
        done = subprocess.run(
            command,
            env=_rabbitmqctl_environment(paths, ports),
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


def _rabbitmqctl_environment(paths: StackPaths, ports: Ports) -> dict[str, str]:
    # Any Erlang program starts an epmd that outlives it where it finds none.
    no_epmd = {"RABBITMQ_CTL_ERL_ARGS": "-start_epmd false"}
    return {"PATH": os.environ.get("PATH", os.defpath), **_environment(paths, ports), **no_epmd}


def _configure(paths: StackPaths, ports: Ports, password: str) -> None:
    text = _CONFIG.format(host=LOOPBACK, port=ports.amqp, user=USER, password=password)
    write(paths.config / "rabbitmq.conf", text)
    write(paths.config / "rabbitmq-env.conf", "# Empty, instead of the system's own file.\n")
    write(paths.config / "enabled_plugins", "[].\n")


def _environment(paths: StackPaths, ports: Ports) -> dict[str, str]:
    data = paths.data / "rabbitmq"
    return {
        "HOME": str(data),
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_DIST_PORT": str(ports.erlang),
        "RABBITMQ_CONF_ENV_FILE": str(paths.config / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(paths.config / "rabbitmq"),
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
