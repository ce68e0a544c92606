"""The compose files as containers: the replay of a log through them."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clients.chat import eventually
from clients.compose_project import EXEC_SECONDS, ComposeProject, build_servers
from parley.stack.images.engine import Engine
from parley.stack.install import ROOT
from parley.stack.ports import free_base

COMPOSE, CLUSTER = Path(ROOT, "docker-compose.yml"), Path(ROOT, "docker-compose.cluster.yml")
SECRETS = ("REDIS_PASSWORD", "RABBITMQ_PASSWORD", "MONGO_PASSWORD", "MONGO_ROOT_PASSWORD", "CLUSTER_SECRET")
PARTITIONS = 6
"""Those of docker-compose.cluster.yml, unless .env has another number."""
REPLAY_SECONDS = 120.0
HEALTHY_SECONDS = 60.0
LOG = """\
=== ann [ann@example.org] has joined #parley
=== ben [ben@example.org] has joined #parley
=== cleo [cleo@example.org] has joined #parley
"""
LINES = 300
SESSIONS = 12
"""Opened to find out whether nginx still tries a lost gateway."""


class Compose:
    """A project's containers, and the replay through them.

    Args:
        project: The project.
        settings: The variables of its `.env`.
        is_cluster: Whether there are three servers of each kind, and not one.
    """

    def __init__(self, project: ComposeProject, settings: dict[str, str], *, is_cluster: bool) -> None:
        self.project = project
        self.gateways = 3 if is_cluster else 2
        """There are as many workers."""
        self.databases = ("mongo", "mongo-2", "mongo-3") if is_cluster else ("mongo",)
        self._settings = settings
        self._url = f"http://127.0.0.1:{settings['HTTP_PORT']}"
        self.admin_url = f"http://127.0.0.1:{settings['ADMIN_PORT']}/admin"

    def replay(self, log: Path, mongo: str) -> str:
        """Replay a log through nginx, prove the result, and return what was printed."""
        command = [sys.executable, "-m", "load.replay", str(log), "--url", self._url, "--mongo", mongo]
        done = subprocess.run(
            command,
            env={**os.environ, **self._settings, "PYTHONPATH": str(Path(ROOT, "tests"))},
            capture_output=True,
            text=True,
            check=False,
            timeout=REPLAY_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.project.logs()
        print(done.stdout)
        return done.stdout

    async def parley(self, *arguments: str) -> str:
        """Run the operators' command in a gateway's container, and return its output."""
        container = self.project.containers("gateway", running=True)[0]
        command = ("exec", container, "parley", *arguments)
        return await asyncio.to_thread(self.project.podman, *command)

    def mongo_url(self, service: str) -> str:
        """Return the URL of one MongoDB server in its container, with the services' user."""
        (container,) = self.project.containers(service)
        address = self.project.address(container)
        return f"mongodb://parley:{self._settings['MONGO_PASSWORD']}@{address}:27017/parley?directConnection=true"

    async def primary(self, *candidates: str) -> str:
        """Wait until the replica set's primary is one of these services, and return it."""
        if len(candidates) == 1:
            # A set of one has no name that other containers know.
            return candidates[0]
        (container,) = self.project.containers(candidates[-1])
        ask = ("exec", container, "mongosh", "--quiet", "--eval", "print(db.hello().primary)")

        def find() -> str | None:
            service = ""
            with suppress(AssertionError):
                service = self.project.podman(*ask, timeout=EXEC_SECONDS).partition(":")[0].strip()
            return service if service in candidates else None

        found: str = await eventually(find, HEALTHY_SECONDS)
        return found

    async def node_of_most_partitions(self) -> str:
        """Return the RabbitMQ service at whose node most partitions are locked, once all are."""
        (container,) = self.project.containers("rabbitmq")
        # The command waits for queues that are being declared or deleted.
        ask = ("exec", container, "rabbitmqctl", "--quiet", "--timeout", "5", "list_queues", "name", "leader")

        def find() -> list[str]:
            with suppress(AssertionError):
                names = self.project.podman(*ask, timeout=EXEC_SECONDS).splitlines()
                nodes = [name.rpartition("@")[2] for name in names if name.startswith("parley.owner.")]
                return nodes if len(nodes) == PARTITIONS else []
            return []

        nodes: list[str] = await eventually(find, HEALTHY_SECONDS)
        return Counter(nodes).most_common(1)[0][0]

    async def wait_for_sessions(self) -> None:
        """Wait until nginx opens sessions without a failure.

        A session that nginx tries at a lost gateway just before it learns of the loss is answered with 503.
        Clients repeat such a connect; the replay, at its start, does not.
        """
        async with aiohttp.ClientSession() as http:
            await eventually(lambda: self._opens_sessions(http), HEALTHY_SECONDS)

    async def _opens_sessions(self, http: aiohttp.ClientSession) -> bool:
        # nginx tries the gateways in turn, so these are several at each.
        for _ in range(SESSIONS):
            async with http.get(f"{self._url}/socket.io/?EIO=4&transport=polling") as answer:
                if answer.status != HTTPStatus.OK:
                    return False
        return True

    def kill(self, *services: str) -> None:
        """Kill one container of each service; nothing answers at its address then."""
        for service in services:
            container = self.project.containers(service)[0]
            self.project.podman("stop", "--time", "0", container)


@pytest.fixture(scope="session")
def _servers(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The images of the servers."""
    if engine.name != "podman":
        pytest.skip("The compose files were not tried: that takes podman and podman-compose.")
    build_servers(engine, tmp_path_factory.mktemp("servers"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three people, who talk in turns."""
    names = ("ann", "ben", "cleo")
    lines = (f"[10:{number // 60:02}] <{names[number % 3]}> line {number}\n" for number in range(LINES))
    path = tmp_path / "parley.log"
    path.write_text(LOG + "".join(lines))
    return path


@contextmanager
def running(files: list[Path], engine: Engine, directory: Path) -> Iterator[Compose]:
    """Run the containers of these files."""
    name = f"parley-test-{secrets.token_hex(3)}"
    settings = {name: secrets.token_hex(16) for name in SECRETS} | {
        "JWT_SECRET": secrets.token_hex(32),
        "HTTP_PORT": str(base := free_base()),
        "ADMIN_PORT": str(base + 1),
        # Not the default: a cluster may be running on this machine.
        "CLUSTER_SUBNET": f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(256)}",
        "RATE_LIMITS": "off",
    }
    with ComposeProject(name, files, settings, engine, directory) as project:
        yield Compose(project, settings, is_cluster=CLUSTER in files)


@pytest.fixture(scope="module", params=[[COMPOSE], [COMPOSE, CLUSTER]], ids=["one-of-each-server", "cluster"])
def compose(
    request: pytest.FixtureRequest,
    _servers: None,
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Compose]:
    """The containers of the compose file, and then with the cluster's."""
    with running(request.param, engine, tmp_path_factory.mktemp("compose")) as compose:
        yield compose


async def healthy(compose: Compose, *services: str) -> None:
    """Wait until all running containers of the services are healthy."""
    for service in services:
        for container in compose.project.containers(service, running=True):
            try:
                await eventually(_check(compose, container), HEALTHY_SECONDS)
            except AssertionError:
                # The cause is often a server that has not taken over.
                raise AssertionError(f"{container} is not healthy: {compose.project.logs()}") from None


def _check(compose: Compose, container: str) -> Callable[[], bool]:
    return lambda: compose.project.is_healthy(container)


# Before the tests of `compose`, whose containers stay until the end: two clusters are too much for two cores.
@pytest.mark.usefixtures("_servers")
async def test_a_cluster_in_containers_loses_a_server_of_each_kind_and_no_message(
    engine: Engine, log: Path, tmp_path: Path
) -> None:
    files = [COMPOSE, CLUSTER]
    with running(files, engine, tmp_path) as compose:
        await healthy(compose, "gateway", "worker", "nginx")

        compose.kill("redis", await compose.node_of_most_partitions(), "mongo", "gateway", "worker")
        primary = await compose.primary("mongo-2", "mongo-3")
        await healthy(compose, "gateway", "worker", "nginx")
        await compose.wait_for_sessions()

        printed = await asyncio.to_thread(compose.replay, log, compose.mongo_url(primary))

        assert "points proved" in printed


async def test_a_replay_through_the_compose_files_is_proved(compose: Compose, log: Path) -> None:
    await healthy(compose, "gateway", "worker", "nginx")
    assert len(compose.project.containers("gateway")) == compose.gateways
    primary = await compose.primary(*compose.databases)

    printed = await asyncio.to_thread(compose.replay, log, compose.mongo_url(primary))

    assert "points proved" in printed


async def test_the_command_shows_all_services_from_a_container(compose: Compose) -> None:
    await healthy(compose, "gateway", "worker", "nginx")

    async def all_are_ready() -> bool:
        status = json.loads(await compose.parley("status", "--json"))
        return all(_count_ready(status[part]) == compose.gateways for part in ("gateways", "workers"))

    await eventually(all_are_ready, HEALTHY_SECONDS)


async def test_the_doctor_finds_no_error_from_a_container(compose: Compose) -> None:
    await healthy(compose, "gateway", "worker", "nginx")

    report = json.loads(await compose.parley("doctor", "--json"))

    assert [each for each in report["findings"] if each["level"] == "error"] == []


async def test_the_admin_page_shows_all_services_to_an_administrator_only(compose: Compose) -> None:
    await healthy(compose, "gateway", "worker", "nginx", "admin")
    administrator = (await compose.parley("token", "root", "--role", "admin")).strip()
    user = (await compose.parley("token", "alice")).strip()

    async with aiohttp.ClientSession() as http:
        async with http.get(compose.admin_url) as page:
            assert (page.status, page.content_type) == (HTTPStatus.OK, "text/html")

        async def overview(token: str) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {token}"}
            async with http.get(f"{compose.admin_url}/api/overview", headers=headers) as answer:
                return answer.status, await answer.json()

        async def shows_all() -> bool:
            status, found = await overview(administrator)
            assert status == HTTPStatus.OK, found
            states = {part: [each["state"] for each in found[part]] for part in ("gateways", "workers")}
            return states == dict.fromkeys(states, ["ready"] * compose.gateways)

        await eventually(shows_all, HEALTHY_SECONDS)
        assert (await overview(user))[0] == HTTPStatus.FORBIDDEN


def _count_ready(services: list[dict[str, Any]]) -> int:
    return sum(each["ready"] for each in services)
