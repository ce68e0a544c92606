"""The Helm chart, played by podman from the project's images: probes, restrictions, polling, the replay."""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clients.balancer import balancer
from clients.chat import ChatUsers, eventually
from clients.kubernetes_chart import PARTS, objects
from clients.played_pods import PlayedPods, Pod
from clients.stacks import SETTINGS
from parley.stack import Stack
from parley.stack.images.engine import Engine
from parley.stack.install import ROOT

READY_SECONDS = 60.0
REPLAY_SECONDS = 120.0
LINES = 300
NAMES = ("ann", "ben", "cleo")
SECRETS = ("REDIS_URL", "RABBITMQ_URL", "MONGO_URL", "JWT_SECRET")
REPLICAS = {"replicas": 2}


@pytest.fixture(scope="module")
def servers(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """RabbitMQ, Redis and MongoDB of a native stack whose services are stopped."""
    if engine.name != "podman":
        pytest.skip("The chart was not played: that takes podman.")
    with Stack(tmp_path_factory.mktemp("servers"), gateways=1, workers=1, settings=SETTINGS) as stack:
        for part in ("gateway-1", "worker-1"):
            stack.stop(part)
        yield stack


@pytest.fixture(scope="module")
async def pods(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PlayedPods]:
    """The chart's pods, two of each part, which are all ready at first."""
    values: dict[str, Any] = {
        "image": {"registry": "localhost", "tag": "latest", "pullPolicy": "Never"},
        "settings": {"LOG_LEVEL": "info"},
        "gateway": {"settings": {"RATE_LIMITS": False}, **REPLICAS},
        "worker": REPLICAS,
        "nginx": REPLICAS,
    }
    # Not the default name: another run may be on this machine.
    chart = objects(values, f"parley-{secrets.token_hex(3)}")
    given = {"parley": {name: servers.environment[name] for name in SECRETS}}
    with PlayedPods(chart, given, tmp_path_factory.mktemp("pods")) as pods:
        for pod in pods.pods.values():
            await wait_until_ready(pods, pod)
        yield pods


@pytest.fixture
async def users(pods: PlayedPods, servers: Stack) -> AsyncIterator[ChatUsers]:
    """New users, who connect through a pod of nginx."""
    users = ChatUsers(pods.of("nginx")[0].url(), servers.jwt_secret)
    yield users
    await users.close()


async def wait_until_ready(pods: PlayedPods, pod: Pod) -> None:
    try:
        await eventually(lambda: pods.answers(pod, "readinessProbe"), READY_SECONDS)
    except AssertionError:
        raise AssertionError(f"{pod.name} is not ready: {pods.logs()}") from None


@pytest.mark.parametrize("part", PARTS)
async def test_a_pod_is_ready_and_alive_by_its_probes(pods: PlayedPods, part: str) -> None:
    for pod in pods.of(part):
        assert await pods.answers(pod, "readinessProbe")
        assert await pods.answers(pod, "livenessProbe")


@pytest.mark.parametrize("part", PARTS)
def test_a_pod_runs_without_root_capabilities_and_a_writable_file_system(pods: PlayedPods, part: str) -> None:
    pod = pods.of(part)[0]

    fields = dict(re.findall(r"^(\w+):\s+(.*)$", pods.execute(pod, "cat", "/proc/1/status"), re.M))
    assert set(fields["Uid"].split()) == {"10001"}
    assert {int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapInh")} == {0}
    assert fields["NoNewPrivs"] == "1"
    assert "Read-only file system" in pods.execute(pod, "touch", "/written")
    assert pods.execute(pod, "touch", "/tmp/written") == ""


@pytest.mark.parametrize("part", PARTS)
def test_a_process_may_open_as_many_files_as_the_machine_allows(pods: PlayedPods, part: str) -> None:
    limits = pods.execute(pods.of(part)[0], "cat", "/proc/1/limits")
    soft, hard = re.findall(r"Max open files +(\d+) +(\d+)", limits)[0]
    assert soft == hard


async def test_a_polling_session_stays_at_its_gateway_through_any_nginx(
    pods: PlayedPods, users: ChatUsers
) -> None:
    async with balancer([pod.url() for pod in pods.of("nginx")]) as url:
        sockets = [await users.user("alice").socket("polling", url=url) for _ in range(6)]
        bob = await users.user("bob").socket("polling", url=url)

        assert {socket.node for socket in sockets} <= {pod.name for pod in pods.of("gateway")}
        for socket in sockets:
            group = await users.group(socket, "bob")
            for member in (socket, bob):
                await member.call_ok("joinRoom", {"conversationId": group})
            sent = await socket.send(group, "hello")
            received = await bob.wait_for("newMessage", conversationId=group)
            assert received["message"]["_id"] == sent["_id"]
        for socket in (*sockets, bob):
            await socket.close()


async def test_new_sessions_reach_every_gateway(pods: PlayedPods, users: ChatUsers) -> None:
    sockets = [await users.user("alice").socket() for _ in range(8)]
    assert {socket.node for socket in sockets} == {pod.name for pod in pods.of("gateway")}


def test_the_command_finds_all_gateways_and_workers_from_a_pod(pods: PlayedPods) -> None:
    for part in ("gateway", "worker"):
        status = json.loads(pods.execute(pods.of(part)[0], "parley", "status", "--json"))
        for other in ("gateway", "worker"):
            found = {each["address"].partition(":")[0] for each in status[f"{other}s"] if each["ready"]}
            assert found == {pod.address for pod in pods.of(other)}


async def test_a_gateway_drains_in_its_time_and_comes_back_under_its_name(
    pods: PlayedPods, users: ChatUsers
) -> None:
    pod, other = pods.of("gateway")
    sockets = [await users.user("alice").socket() for _ in range(8)]
    assert {socket.node for socket in sockets} == {pod.name, other.name}

    assert await asyncio.to_thread(pods.stop, pod) == 0, pods.logs()
    await eventually(lambda: all(each.connected == (each.node == other.name) for each in sockets))

    again = [await users.user("bob").socket(transport) for transport in ("polling", "websocket") * 2]
    assert {each.node for each in again} == {other.name}
    async with aiohttp.ClientSession() as http:
        query = {"EIO": "4", "transport": "polling", "sid": f"{pod.name}.c2Vzc2lvbg"}
        async with http.get(f"{users.url}/socket.io/", params=query) as answer:
            assert answer.status == 503

    pods.replace(pod)
    await wait_until_ready(pods, pod)

    async def reached() -> bool:
        socket = await users.user("cleo").socket("polling")
        return socket.node == pod.name

    await eventually(reached)


def test_a_replay_through_the_chart_is_proved(pods: PlayedPods, servers: Stack, tmp_path: Path) -> None:
    joins = (f"=== {name} [{name}@example.org] has joined #parley\n" for name in NAMES)
    lines = (f"[10:{number // 60:02}] <{NAMES[number % 3]}> line {number}\n" for number in range(LINES))
    log = tmp_path / "parley.log"
    log.write_text("".join((*joins, *lines)))

    url = pods.of("nginx")[1].url()
    done = subprocess.run(
        [sys.executable, "-m", "load.replay", str(log), "--url", url],
        env={**os.environ, **servers.environment, "PYTHONPATH": str(Path(ROOT, "tests"))},
        capture_output=True,
        text=True,
        check=False,
        timeout=REPLAY_SECONDS,
    )

    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr + pods.logs()
    assert "points proved" in done.stdout
