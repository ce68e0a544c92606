"""RabbitMQ, Redis and MongoDB of a stack: on one host each, or on all hosts of a cluster; and their URLs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parley.stack.hosts import Host
from parley.stack.parts.mongodb import REPLICA_SET, mongodb
from parley.stack.parts.part import Part
from parley.stack.parts.rabbitmq import USER, epmd, rabbitmq
from parley.stack.parts.rabbitmq_rejoin import rejoining
from parley.stack.parts.redis import MASTER_NAME, REDIS_HOSTS, clustered_redis, redis, sentinel
from parley.stack.paths import StackPaths
from parley.stack.ports import LOOPBACK, Ports


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The servers that the services use.

    Attributes:
        settings: the services' environment variables; an external server's URL among them replaces the
            stack's own servers of that kind.
    """

    paths: StackPaths
    ports: Ports
    hosts: Sequence[Host]
    settings: Mapping[str, str]
    broker_password: str

    @property
    def redis_url(self) -> str:
        return self.settings.get("REDIS_URL") or self._own_redis_url()

    @property
    def rabbitmq_url(self) -> str:
        own = f"amqp://{USER}:{self.broker_password}@{self._addresses(self.ports.amqp)}/"
        return self.settings.get("RABBITMQ_URL") or own

    @property
    def mongo_url(self) -> str:
        own = f"mongodb://{self._addresses(self.ports.mongodb)}/parley?replicaSet={REPLICA_SET}"
        return self.settings.get("MONGO_URL") or own

    def parts(self) -> list[Part]:
        """Return the stack's own servers."""
        return [
            *([] if self.settings.get("RABBITMQ_URL") else self._rabbitmq()),
            *([] if self.settings.get("REDIS_URL") else self._redis()),
            *([] if self.settings.get("MONGO_URL") else self._mongodb()),
        ]

    def _rabbitmq(self) -> list[Part]:
        return [*self._name_servers(), *map(self._rabbitmq_node, self.hosts)]

    def _rabbitmq_node(self, host: Host) -> Part:
        node = rabbitmq(self.paths, self.ports, self.broker_password, host, self.hosts)
        return rejoining(node, self.paths, self.ports, host, self.hosts) if len(self.hosts) > 1 else node

    def _name_servers(self) -> list[Part]:
        port = self.ports.epmd
        if any(host.namespace for host in self.hosts):
            return [epmd(self.paths, port, host, [host.address]) for host in self.hosts]
        # A name server listens on 127.0.0.1 too, so hosts on loopback addresses share one.
        return [epmd(self.paths, port, Host(), [LOOPBACK, *(h.address for h in self.hosts if h.number)])]

    def _redis(self) -> list[Part]:
        port, first = self.ports.redis, self.hosts[0]
        if len(self.hosts) == 1:
            return [redis(self.paths, port, first)]
        return [
            *(clustered_redis(self.paths, port, host, first) for host in self.hosts[:REDIS_HOSTS]),
            *(sentinel(self.paths, self.ports.sentinel, port, host, first) for host in self.hosts),
        ]

    def _mongodb(self) -> list[Part]:
        return [mongodb(self.paths, self.ports.mongodb, host, self.hosts) for host in self.hosts]

    def _own_redis_url(self) -> str:
        if len(self.hosts) == 1:
            return f"redis://{self._addresses(self.ports.redis)}/0"
        return f"redis+sentinel://{self._addresses(self.ports.sentinel)}/{MASTER_NAME}"

    def _addresses(self, port: int) -> str:
        return ",".join(f"{host.address}:{port}" for host in self.hosts)
