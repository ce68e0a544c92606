"""The images as containers: permissions, health checks, exit codes, and messages past killed containers."""

import json
import re
import secrets
import time

import pytest

from clients.chat import ChatUsers, eventually
from clients.containers import MEMORY_BYTES, PROCESSES, Containers
from clients.invariants import assert_consistent
from clients.load_generator import LoadGenerator
from clients.reconnecting_client import ReconnectingClient
from clients.recording_clients import RecordingClients
from parley.shared.mongo import Database
from parley.stack.images.engine import Engine

from .conftest import ContainerSite

CONTAINERS = ("gateway-1", "worker-1", "nginx")
SENDERS = [f"sender-{number}" for number in range(4)]
GATEWAY_EXIT_SECONDS, WORKER_EXIT_SECONDS, NGINX_EXIT_SECONDS = 15, 10, 10
TAKEOVER_SECONDS = 25.0


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_runs_without_root_and_capabilities(site: ContainerSite, name: str) -> None:
    status = site.containers.execute(name, "cat", "/proc/1/status")

    fields = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.M))
    assert "0" not in fields["Uid"].split()
    assert {int(fields[kind], 16) for kind in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert fields["NoNewPrivs"] == "1"


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_writes_to_tmp_only(site: ContainerSite, name: str) -> None:
    assert "Read-only file system" in site.containers.execute(name, "touch", "/written")
    assert site.containers.execute(name, "touch", "/tmp/written") == ""


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_is_limited_in_memory_and_processes(site: ContainerSite, name: str) -> None:
    memory = "cat /sys/fs/cgroup/memory.max || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    processes = "cat /sys/fs/cgroup/pids.max || cat /sys/fs/cgroup/pids/pids.max"

    assert str(MEMORY_BYTES) in site.containers.execute(name, "sh", "-c", memory).split()
    assert str(PROCESSES) in site.containers.execute(name, "sh", "-c", processes).split()


@pytest.mark.parametrize("name", ["gateway-1", "worker-1"])
def test_an_image_contains_no_build_tool(site: ContainerSite, name: str) -> None:
    found = site.containers.execute(
        name, "sh", "-c", "for tool in uv node npm gcc; do command -v $tool; done"
    )
    assert found == ""


@pytest.mark.parametrize("name", ["gateway-1", "worker-1"])
def test_an_image_contains_the_operators_command(site: ContainerSite, name: str) -> None:
    checked = json.loads(site.containers.execute(name, "parley", "config", "check", "--json"))
    assert [each["ok"] for each in checked["services"]] == [True]

    found = json.loads(site.containers.execute(name, "parley", "doctor", "--json"))["findings"]
    reached = [each for each in found if each["check"] == "reachable" and each["level"] == "ok"]
    assert {"redis", "rabbitmq", "mongodb"} <= {each["server"] for each in reached}


async def test_a_message_passes_through_containers(site: ContainerSite, users: ChatUsers) -> None:
    alice = await users.user("alice").socket()
    others = [await users.user("bob").socket(url=url) for url in site.gateway_urls]
    assert {socket.node for socket in others} == {"gateway-1", "gateway-2"}
    group = await users.group(alice, "bob")
    for socket in (alice, *others):
        await socket.call_ok("joinRoom", {"conversationId": group})

    sent = await alice.send(group, "hello", tempId="t1")

    for socket in (alice, *others):
        received = await socket.wait_for("newMessage", conversationId=group)
        assert received["message"]["_id"] == sent["_id"]
    assert (await alice.wait_for("messageSent", tempId="t1"))["messageId"] == sent["_id"]


async def test_polling_stays_at_its_gateway_through_nginx(site: ContainerSite, users: ChatUsers) -> None:
    sockets = [await users.user("alice").socket("polling") for _ in range(6)]

    assert {socket.node for socket in sockets} == {"gateway-1", "gateway-2"}
    for socket in sockets:
        await users.group(socket, "bob")


@pytest.mark.parametrize("killed", ["worker-1", "gateway-1"])
async def test_a_killed_container_loses_and_doubles_no_message(
    site: ContainerSite, users: ChatUsers, clients: RecordingClients, database: Database, killed: str
) -> None:
    groups = await clients.create_group_per_partition(*SENDERS, "listener")
    senders = [await clients.add(ReconnectingClient(users.user(name), users.url)) for name in SENDERS]
    listener = await clients.connect("listener", site.gateway_urls[1])
    await listener.join_all(groups)

    async with LoadGenerator(senders, groups, pause=0.01) as load:
        await load.wait_for_accepted(100)
        site.containers.kill(killed)
        await load.wait_for_accepted(200, TAKEOVER_SECONDS)
    assert site.containers.exit_code(killed) == 137
    site.containers.start_again(killed)

    for group in groups:
        await assert_consistent(
            database, users, group, senders=senders, listeners=[listener], deadline=TAKEOVER_SECONDS
        )
    await site.wait_until_healthy()


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("gateway-2", GATEWAY_EXIT_SECONDS),
        ("worker-2", WORKER_EXIT_SECONDS),
        ("nginx", NGINX_EXIT_SECONDS),
    ],
)
async def test_a_stopped_container_exits_with_0_in_time(
    site: ContainerSite, users: ChatUsers, name: str, seconds: int
) -> None:
    await users.sockets("alice", "bob", "carol")

    begun = time.monotonic()
    assert site.containers.stop(name, seconds) == 0, site.containers.log(name)
    assert time.monotonic() - begun < seconds

    site.containers.start_again(name)
    await site.wait_until_healthy()


@pytest.mark.parametrize("target", ["gateway", "worker"])
async def test_a_service_without_servers_is_not_healthy(
    engine: Engine, site: ContainerSite, target: str
) -> None:
    nowhere = {
        "MONGO_URL": "mongodb://127.0.0.1:9/parley",
        "RABBITMQ_URL": "amqp://127.0.0.1:9/",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "JWT_SECRET": secrets.token_hex(32),
        f"{target.upper()}_HOST": "127.0.0.1",
        f"{target.upper()}_PORT": "1",
    }
    with Containers(engine) as containers:
        containers.start(target, target, nowhere)
        await eventually(lambda: containers.execute(target, "true") == "")
        assert not containers.is_healthy(target)


@pytest.mark.parametrize(
    ("target", "environment", "named"),
    [
        ("gateway", {"JWT_SECRET": "short"}, "JWT_SECRET"),
        ("gateway", {"JWT_SECRET": "x" * 64, "PARTITIONS": "many"}, "PARTITIONS"),
        ("worker", {"BATCH_LIMIT": "none"}, "BATCH_LIMIT"),
    ],
)
def test_a_service_with_an_invalid_setting_exits_with_1_and_names_it(
    engine: Engine, target: str, environment: dict[str, str], named: str
) -> None:
    with Containers(engine) as containers:
        containers.start(target, target, environment)
        assert containers.exit_code(target) == 1
        assert named in containers.log(target)
