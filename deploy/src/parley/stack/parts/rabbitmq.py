"""RabbitMQ as a node of its own: own name server (epmd), own cookie, own ports, small and quiet."""

from collections.abc import Mapping

from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths, write
from parley.stack.ports import LOOPBACK, Ports
from parley.stack.readiness import amqp_answers, listens

USER = "parley"
NODE = f"rabbit@{LOOPBACK}"
"""By address, so that starting it depends on no name resolution."""

_SCRIPTS = "/usr/lib/rabbitmq/bin"
"""Debian's command on the PATH insists on its own user and directories; these scripts do not."""

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

_KEEP_NAMES = (
    "spawn(fun()->rabbit:await_startup(),"
    "[ra:trigger_election(amqqueue:get_pid(Q))||Q<-rabbit_amqqueue:list_local_quorum_queues()],"
    "{ok,Names}=ra_system:lookup_name(quorum_queues,directory_rev),"
    "timer:apply_interval(200,dets,sync,[Names]),timer:sleep(infinity)end)."
)
"""By itself the broker writes a new quorum queue's name seconds after its messages; killed before, it
comes back with an empty queue that elects no leader, ever. No blanks: the start script splits at them."""

_ERLANG = (
    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none "
    f"-kernel inet_dist_use_interface {{127,0,0,1}} -start_epmd false -eval {_KEEP_NAMES}"
)


def epmd(place: StackPaths, port: int) -> Part:
    """Erlang's name server, in the foreground so that it ends with the stack."""
    return Part(
        name="epmd",
        tier=Tier.NAMES,
        argv=(program("epmd"), "-address", LOOPBACK, "-port", str(port)),
        directory=place.data / "epmd",
        port=port,
        ready=listens(port),
    )


def rabbitmq(place: StackPaths, ports: Ports, password: str) -> Part:
    _configure(place, ports, password)
    return Part(
        name="rabbitmq",
        tier=Tier.SERVERS,
        argv=(program("rabbitmq-server", f"{_SCRIPTS}/rabbitmq-server"),),
        directory=place.data / "rabbitmq",
        port=ports.amqp,
        ready=amqp_answers(ports.amqp),
        env=_environment(place, ports) | {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG},
    )


def rabbitmqctl(place: StackPaths, ports: Ports) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The command line and the environment that talk to this stack's node."""
    command = program("rabbitmqctl", f"{_SCRIPTS}/rabbitmqctl")
    # Any Erlang starts a lasting epmd where it finds none.
    return (command,), _environment(place, ports) | {"RABBITMQ_CTL_ERL_ARGS": "-start_epmd false"}


def _configure(place: StackPaths, ports: Ports, password: str) -> None:
    text = _CONFIG.format(host=LOOPBACK, port=ports.amqp, user=USER, password=password)
    write(place.config / "rabbitmq.conf", text)
    write(place.config / "rabbitmq-env.conf", "# Keeps the system's own file out.\n")
    write(place.config / "enabled_plugins", "[].\n")


def _environment(place: StackPaths, ports: Ports) -> dict[str, str]:
    data = place.data / "rabbitmq"
    return {
        "HOME": str(data),
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_DIST_PORT": str(ports.erlang),
        "RABBITMQ_CONF_ENV_FILE": str(place.config / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(place.config / "rabbitmq"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(place.config / "rabbitmq-advanced"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(place.config / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "config"),
        "RABBITMQ_SCHEMA_DIR": str(data / "schema"),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(data / "feature_flags"),
        "RABBITMQ_LOG_BASE": str(place.logs),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(data / "pid"),
        # The script then becomes the Erlang machine instead of a shell that waits beside it.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
