"""Fixtures of all tests: one real stack for the session, and new users for each test."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from clients.chat import ChatUsers
from clients.database import open_database
from clients.external_servers import external_servers
from clients.nginx_edge import PROXY
from clients.rabbitmq_cluster import RabbitCluster
from clients.redis_cluster import RedisCluster
from clients.redis_sentinel import RedisSentinel
from clients.stacks import SETTINGS
from parley.persistence_worker.primary_connection import PrimaryConnection
from parley.shared.mongo import Database
from parley.stack import Stack

# Tests with generated input read the profile's name (clients/fuzz.py, model/conftest.py).
settings.register_profile("long", database=None)
# A time limit of each example would fail tests on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

FAULTS = "tests/faults/"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the faults where tests run beside each other: their bounds of time need an idle processor.

    The other workers run unit tests meanwhile, a process each, and no browser.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(FAULTS))


class ByFile(LoadScopeScheduling):
    """Gives a file to one worker, so that one starts its stack, and all faults to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return FAULTS if file.startswith(FAULTS) else file


def pytest_collection_finish() -> None:
    """Leave out the six thousand collected tests, which stay until the end, when garbage is collected."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Take files in the order of their collection."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


class Servers(Protocol):
    """Servers that make a cluster."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


S = TypeVar("S", bound=Servers)


@contextmanager
def started(servers: S) -> Iterator[S]:
    """Start servers; stop what runs of them in the end, also after a start that failed."""
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two gateways and two workers behind nginx, with their own servers unless the environment names some."""
    directory: Path = tmp_path_factory.mktemp("stack")
    given = {**SETTINGS, "TRUSTED_PROXIES": PROXY, **external_servers()}
    with Stack(directory, gateways=2, workers=2, settings=given) as running:
        yield running


@pytest.fixture
async def users(stack: Stack) -> AsyncIterator[ChatUsers]:
    """New users, whose ids no other test uses."""
    users = ChatUsers(stack.url, stack.jwt_secret)
    yield users
    await users.close()


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[Database]:
    """The stack's database."""
    async with open_database(stack.mongo_url) as database:
        yield database


@pytest.fixture
async def primary(database: Database) -> AsyncIterator[PrimaryConnection]:
    """A worker's connection to the stack's database."""
    with closing(PrimaryConnection(database)) as primary:
        yield primary


# Of each module, not of the session: three idle nodes take a quarter of a core from all later tests.
@pytest.fixture(scope="module")
def rabbitmq_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitCluster]:
    """Three RabbitMQ nodes; a test starts again what it killed."""
    with started(RabbitCluster(tmp_path_factory.mktemp("rabbitmq"))) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """A Redis with one replica and three sentinels; a test repairs what it broke."""
    with started(RedisSentinel(tmp_path_factory.mktemp("sentinel"))) as sentinel:
        yield sentinel


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A Redis Cluster of three masters with a replica each; a test repairs what it broke."""
    with started(RedisCluster(tmp_path_factory.mktemp("redis-cluster"))) as cluster:
        yield cluster


@pytest.fixture(params=["redis", "cluster"])
def redis_url(request: pytest.FixtureRequest, stack: Stack) -> str:
    """The URL of the stack's Redis, and that of a Redis Cluster."""
    if request.param == "redis":
        return stack.redis_url
    cluster: RedisCluster = request.getfixturevalue("redis_cluster")
    return cluster.url
