"""Which parts a stack consists of, from its size, its ports and its settings."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from parley.stack.parts.mongodb import mongodb
from parley.stack.parts.nginx import Edge, nginx
from parley.stack.parts.owner_watch import owner_watch
from parley.stack.parts.part import Part
from parley.stack.parts.rabbitmq import USER, epmd, rabbitmq
from parley.stack.parts.redis import redis
from parley.stack.parts.services import gateway, node, worker
from parley.stack.paths import StackPaths
from parley.stack.ports import LOOPBACK, Ports
from parley.stack.state import StackState

Commands = Mapping[str, Sequence[str]]
"""How `gateway` and `worker` are started."""

SERVICES: Commands = {
    "gateway": (sys.executable, "-m", "parley.gateway"),
    "worker": (sys.executable, "-m", "parley.persistence_worker"),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides what runs.

    `settings` are the services' environment variables; a server's url among them replaces our own server.
    `special` are those of single services, by the part's name, which go before them.
    `owner` is the pid that the stack ends with, None when it stands alone.
    """

    place: StackPaths
    memory: StackState
    ports: Ports
    host: str
    settings: Mapping[str, str]
    commands: Commands
    owner: int | None
    special: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def redis_url(self) -> str:
        return self.settings.get("REDIS_URL") or f"redis://{LOOPBACK}:{self.ports.redis}/0"

    @property
    def rabbitmq_url(self) -> str:
        own = f"amqp://{USER}:{self.memory.broker_password}@{LOOPBACK}:{self.ports.amqp}/"
        return self.settings.get("RABBITMQ_URL") or own

    @property
    def mongo_url(self) -> str:
        return self.settings.get("MONGO_URL") or f"mongodb://{LOOPBACK}:{self.ports.mongodb}/parley"

    @property
    def jwt_secret(self) -> str:
        return self.settings.get("JWT_SECRET") or self.memory.jwt_secret

    @property
    def gateways(self) -> dict[str, int]:
        """Node name to port."""
        return {node(number): self.ports.gateway(number) for number in _count(self.memory.gateways)}

    def edge(self) -> Edge:
        return Edge(host=self.host, port=self.ports.http, accepting=self.gateways, routable=self.gateways)

    def parts(self) -> list[Part]:
        watch = [owner_watch(self.place, self.owner)] if self.owner is not None else []
        return [*watch, *self._servers(), *self._workers(), *self._gateways(), nginx(self.place, self.edge())]

    def environment(self) -> dict[str, str]:
        """What every service is told; empty settings are left to the services' defaults."""
        told = {name: value for name, value in self.settings.items() if value}
        return told | {
            "REDIS_URL": self.redis_url,
            "RABBITMQ_URL": self.rabbitmq_url,
            "MONGO_URL": self.mongo_url,
            "JWT_SECRET": self.jwt_secret,
        }

    def _servers(self) -> list[Part]:
        parts = []
        if not self.settings.get("RABBITMQ_URL"):
            parts.append(epmd(self.place, self.ports.epmd))
            parts.append(rabbitmq(self.place, self.ports, self.memory.broker_password))
        if not self.settings.get("REDIS_URL"):
            parts.append(redis(self.place, self.ports.redis))
        if not self.settings.get("MONGO_URL"):
            parts.append(mongodb(self.place, self.ports.mongodb))
        return parts

    def _gateways(self) -> list[Part]:
        command, settings = self.commands["gateway"], self.environment()
        return [
            self._told(gateway(self.place, number, self.ports.gateway(number), command, settings))
            for number in _count(self.memory.gateways)
        ]

    def _workers(self) -> list[Part]:
        command, settings = self.commands["worker"], self.environment()
        return [
            self._told(worker(self.place, number, self.ports.worker(number), command, settings))
            for number in _count(self.memory.workers)
        ]

    def _told(self, part: Part) -> Part:
        return replace(part, env={**part.env, **self.special.get(part.name, {})})


def _count(number: int) -> range:
    return range(1, number + 1)
