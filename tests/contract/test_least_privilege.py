"""The server accounts that docker-compose.yml creates have exactly the permissions that the services need."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import which

import aio_pika
import pytest
import redis
import yaml
from aiormq.exceptions import ChannelAccessRefused

from clients.chat import eventually
from clients.round_trip import assert_message_round_trip
from parley.stack import Stack
from parley.stack.ports import LOOPBACK, free_base

pytestmark = pytest.mark.slow  # A stack of its own is started.

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
PASSWORD = "least"
RIGHTS = dict(
    line.removeprefix("default_permissions.").split(" = ")
    for line in COMPOSE["configs"]["rabbitmq"]["content"].splitlines()
    if line.startswith("default_permissions.")
)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis as the compose file starts it."""
    port, server = free_base(), which("redis-server") or "/usr/bin/redis-server"
    command = [
        f">{PASSWORD}" if word.startswith(">$") else word for word in COMPOSE["services"]["redis"]["command"]
    ]
    directory = tmp_path_factory.mktemp("redis")
    command = [server, *command[1:], "--bind", LOOPBACK, "--port", str(port), "--dir", str(directory)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"redis://parley:{PASSWORD}@{LOOPBACK}:{port}/0"
    running.terminate()
    running.wait(10)


@pytest.fixture(scope="module")
async def humble(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway and a worker with these accounts."""

    def answers() -> bool:
        try:
            return bool(redis.Redis.from_url(redis_url).ping())
        except redis.ConnectionError:
            return False

    await eventually(answers)
    directory = tmp_path_factory.mktemp("humble")
    with Stack(directory, gateways=1, workers=1, settings={"REDIS_URL": redis_url}) as stack:
        stack.rabbitmqctl("add_user", "humble", PASSWORD)
        stack.rabbitmqctl("set_permissions", "humble", *(RIGHTS[k] for k in ("configure", "write", "read")))
        # The administrator has declared what exists already.
        stack.stop("worker-1")
        stack.stop("gateway-1")
        for queue in stack.rabbitmqctl("-q", "list_queues", "name", "--no-table-headers").split():
            stack.rabbitmqctl("delete_queue", queue)
        own = {"RABBITMQ_URL": amqp_url(stack)}
        stack.set_overrides({"gateway-1": own, "worker-1": own})
        stack.start("gateway-1")
        stack.start("worker-1")
        yield stack


def amqp_url(stack: Stack) -> str:
    return f"amqp://humble:{PASSWORD}@{stack.rabbitmq_url.rpartition('@')[2]}"


async def test_the_permissions_suffice_for_the_services(humble: Stack) -> None:
    await assert_message_round_trip(humble)


def test_redis_allows_the_pattern_of_the_channels_of_0_2_0(humble: Stack) -> None:
    assert b"gateway.bus.denied" not in humble.log("gateway-1").read_bytes()


@pytest.mark.parametrize(
    "command",
    ["GET other", "SET other 1", "PUBLISH other 1", "SUBSCRIBE other", "PSUBSCRIBE *", "KEYS *", "FLUSHALL",
     "CONFIG GET *", "ACL LIST", "CLIENT LIST", "MONITOR", "SHUTDOWN", "REPLICAOF a 1",
     "EVAL return{} 1 other"],
)  # fmt: skip
def test_redis_denies_the_services_everything_else(command: str, humble: Stack) -> None:
    with redis.Redis.from_url(humble.redis_url) as ours, pytest.raises(redis.exceptions.NoPermissionError):
        ours.execute_command(*command.split())


def test_redis_has_no_other_user(humble: Stack) -> None:
    for stranger in ("redis://", "redis://default:least@", "redis://parley:other@"):
        url = stranger + humble.redis_url.rpartition("@")[2]
        with redis.Redis.from_url(url) as other, pytest.raises(redis.exceptions.AuthenticationError):
            other.ping()


async def test_rabbitmq_denies_the_services_everything_else(humble: Stack) -> None:
    async with await aio_pika.connect(amqp_url(humble)) as connection:
        for name in ("other", "parley", "amq.direct"):
            channel = await connection.channel()
            with pytest.raises(ChannelAccessRefused):
                await channel.declare_queue(name)
        with pytest.raises(ChannelAccessRefused):
            await (await connection.channel()).declare_exchange("other")
    assert "humble\t[]" in humble.rabbitmqctl("-q", "list_users")
