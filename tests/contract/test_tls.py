"""Servers are reached by TLS only if a trusted certificate authority has signed their certificates."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import pymongo.errors
import pytest
import redis.exceptions
import trustme
from yarl import URL

from clients.proxy import LOOPBACK, Proxy
from clients.round_trip import assert_message_round_trip
from parley.shared import mongo
from parley.shared.redis import connect
from parley.stack import Stack


@dataclass
class Servers:
    """A stack's servers behind TLS, and their certificate authority."""

    stack: Stack
    redis: str
    rabbitmq: str
    mongodb: str

    def urls(self, authority: Path) -> dict[str, str]:
        """Return the settings of a service that trusts a certificate authority."""
        return {
            "REDIS_URL": f"rediss{self.redis.removeprefix('redis')}?ssl_ca_certs={authority}",
            "RABBITMQ_URL": f"amqps{self.rabbitmq.removeprefix('amqp')}?cafile={authority}",
            "MONGO_URL": f"{self.mongodb}&tls=true&tlsCAFile={authority}",
        }


def written(authority: trustme.CA, path: Path) -> Path:
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def servers(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(LOOPBACK).configure_cert(context)
    with ExitStack() as open_:
        stack = open_.enter_context(Stack(tmp_path_factory.mktemp("tls"), gateways=1, workers=1))
        urls = (stack.redis_url, stack.rabbitmq_url, stack.mongo_url)
        yield Servers(stack, *(open_.enter_context(Proxy(url, context)).url for url in urls))
        stack.stop_services()


async def test_a_message_is_stored_and_delivered_over_tls(
    servers: Servers, authority: trustme.CA, tmp_path: Path
) -> None:
    own = servers.urls(written(authority, tmp_path / "authority.pem"))
    servers.stack.set_overrides({"gateway-1": own, "worker-1": own})
    await assert_message_round_trip(servers.stack)


async def test_servers_of_an_unknown_authority_are_refused(servers: Servers, tmp_path: Path) -> None:
    urls = servers.urls(written(trustme.CA(), tmp_path / "another.pem"))

    with pytest.raises(redis.exceptions.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(urls["REDIS_URL"]).ping()
    rabbitmq = aio_pika.Connection(URL(urls["RABBITMQ_URL"]))
    with pytest.raises(aio_pika.exceptions.AMQPConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        await rabbitmq.connect()
    await rabbitmq.close()
    unknown = pytest.raises(pymongo.errors.ServerSelectionTimeoutError, match="CERTIFICATE_VERIFY_FAILED")
    async with mongo.connect(urls["MONGO_URL"]) as database:
        with unknown:
            await database.command("ping")
