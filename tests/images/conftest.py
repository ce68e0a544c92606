"""Fixtures of the image tests: built images, and a Parley whose services and nginx are containers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients.chat import ChatUsers, eventually
from clients.containers import Containers, nginx_config
from clients.database import open_database
from clients.recording_clients import RecordingClients
from parley.shared.mongo import Database
from parley.stack import Stack
from parley.stack.errors import StackError
from parley.stack.images.build import build_images
from parley.stack.images.engine import Engine, find_engine
from parley.stack.install import ROOT
from parley.stack.ports import free_base

NGINX = Path(ROOT, "deploy/docker/nginx.conf")
SERVICES = ("gateway-1", "gateway-2", "worker-1", "worker-2")
READY_SECONDS = 60.0


class ContainerSite:
    """Two gateways, two workers and nginx as containers, on the servers of a native stack."""

    def __init__(self, containers: Containers, servers: Stack, directory: Path) -> None:
        self.containers, self.servers = containers, servers
        base = free_base()
        self._port, self._health_port = base, base + 1
        self._ports = {name: base + number for number, name in enumerate(SERVICES, 2)}
        self._config = directory / "nginx.conf"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def gateway_urls(self) -> list[str]:
        return [f"http://127.0.0.1:{self._ports[name]}" for name in ("gateway-1", "gateway-2")]

    def start(self) -> None:
        for name, port in self._ports.items():
            self.start_service(name, port)
        gateways = {
            name: f"127.0.0.1:{port}" for name, port in self._ports.items() if name.startswith("gateway")
        }
        self._config.write_text(nginx_config(NGINX, self._port, self._health_port, gateways))
        self._config.chmod(0o644)
        check = f"wget -q -O /dev/null http://127.0.0.1:{self._health_port}/"
        mount = f"{self._config}:/etc/nginx/nginx.conf:ro"
        self.containers.start("nginx", "nginx", {}, ["--volume", mount, "--health-cmd", check])

    def start_service(self, name: str, port: int, **more: str) -> None:
        """Start a gateway or worker; `more` are environment variables."""
        target = name.partition("-")[0]
        own = {
            "gateway": {"GATEWAY_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "NODE_NAME": name},
            "worker": {"WORKER_HOST": "127.0.0.1", "WORKER_PORT": str(port), "WORKER_NAME": name},
        }[target]
        self.containers.start(name, target, {**self.servers.environment, **own, **more})

    async def wait_until_healthy(self) -> None:
        for name in (*self._ports, "nginx"):
            try:
                await eventually(lambda name=name: self.containers.is_healthy(name), READY_SECONDS)
            except AssertionError:
                raise AssertionError(f"{name} is not healthy: {self.containers.log(name)[-4000:]}") from None


@pytest.fixture(scope="session")
def engine() -> Engine:
    """This machine's container engine, with images of this checkout."""
    try:
        found = find_engine()
    except StackError as reason:
        pytest.skip(f"The images were not tried. {reason}")
    build_images()
    return found


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """RabbitMQ, Redis and MongoDB of a native stack whose services are stopped."""
    settings = {"RATE_LIMITS": "off"}
    directory = tmp_path_factory.mktemp("servers")
    with Stack(directory, gateways=1, workers=1, settings=settings) as stack:
        for part in ("gateway-1", "worker-1"):
            stack.stop(part)
        yield stack


@pytest.fixture(scope="session")
async def site(
    engine: Engine, _servers: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ContainerSite]:
    """A Parley in containers, whose containers are all healthy at first."""
    with ExitStack() as stack:
        containers = stack.enter_context(Containers(engine))
        site = ContainerSite(containers, _servers, tmp_path_factory.mktemp("nginx"))
        site.start()
        await site.wait_until_healthy()
        yield site


@pytest.fixture
def stack(site: ContainerSite) -> Stack:
    """The stack of the fixture `database` in this folder."""
    return site.servers


@pytest.fixture
async def users(site: ContainerSite) -> AsyncIterator[ChatUsers]:
    """New users, whose ids no other test uses."""
    users = ChatUsers(site.url, site.servers.jwt_secret)
    yield users
    await users.close()


@pytest.fixture
async def clients(users: ChatUsers) -> AsyncIterator[RecordingClients]:
    """The clients of the test."""
    async with RecordingClients(users) as clients:
        yield clients


@pytest.fixture
async def database(site: ContainerSite) -> AsyncIterator[Database]:
    """The database of the containers."""
    async with open_database(site.servers.mongo_url) as database:
        yield database
