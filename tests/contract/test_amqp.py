"""A service connects to any node that its URL names, at the first time and each time again."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from clients.chat import eventually
from clients.proxy import Proxy
from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.shared import amqp
from parley.shared.partitions import Partitions
from parley.stack import Stack

NOBODY = "127.0.0.1:9"


def with_hosts(url: str, *hosts: str) -> str:
    """Return a URL with other hosts."""
    return (
        urlsplit(url)._replace(netloc=f"{urlsplit(url).netloc.rpartition('@')[0]}@{','.join(hosts)}").geturl()
    )


def host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


async def test_one_node_of_three_is_enough(stack: Stack) -> None:
    url = with_hosts(stack.rabbitmq_url, NOBODY, host(stack.rabbitmq_url), "127.0.0.1:10")
    for _ in range(5):
        connection = await amqp.connect(url, name="test", heartbeat=10)
        assert not connection.is_closed
        await connection.close()


async def test_the_nodes_are_tried_in_random_order(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    connect_to = amqp._connect_to

    async def record(url: str, *others: object) -> object:
        tried.append(host(url))
        return await connect_to(url, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(amqp, "_connect_to", record)
    with Proxy(stack.rabbitmq_url) as proxy:
        url = with_hosts(stack.rabbitmq_url, host(stack.rabbitmq_url), host(proxy.url))
        for _ in range(40):
            await (await amqp.connect(url, name="test", heartbeat=10)).close()
        assert set(tried) == {host(stack.rabbitmq_url), host(proxy.url)}


async def test_an_error_names_each_node_that_could_not_be_reached_but_no_password() -> None:
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9: .*127\.0\.0\.1:10: |:10: .*:9: ") as caught:
        await amqp.connect("amqp://ann:secret@127.0.0.1:9,127.0.0.1:10/", name="test", heartbeat=10)
    assert "secret" not in str(caught.value)


@pytest.fixture
async def nodes(stack: Stack) -> AsyncIterator[list[Proxy]]:
    """Two ways to one broker, which take the place of two nodes."""
    with Proxy(stack.rabbitmq_url) as first, Proxy(stack.rabbitmq_url) as second:
        yield [first, second]


async def test_a_gateway_that_is_cut_off_from_its_node_connects_to_another(
    stack: Stack, nodes: list[Proxy]
) -> None:
    url = with_hosts(stack.rabbitmq_url, *(host(node.url) for node in nodes))
    outbox = RabbitOutbox(url, Partitions(8), limit=10, name="test")
    outbox.start()
    await eventually(lambda: outbox.connected)
    used = next(node for node in nodes if node.connections)
    used.block()

    await eventually(lambda: not outbox.connected, 12.0)
    await eventually(lambda: outbox.connected, 6.0)

    used.unblock()
    await outbox.stop()
