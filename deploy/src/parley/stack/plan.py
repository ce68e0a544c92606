"""The parts that a stack consists of, computed from its size, ports and settings."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from parley.stack.parts.mongodb import mongodb
from parley.stack.parts.nginx import Edge, nginx
from parley.stack.parts.part import Part
from parley.stack.parts.rabbitmq import USER, epmd, rabbitmq
from parley.stack.parts.redis import redis
from parley.stack.parts.services import gateway, node, worker
from parley.stack.parts.watchdog import watchdog
from parley.stack.paths import StackPaths
from parley.stack.ports import LOOPBACK, Ports
from parley.stack.state import StackState

Commands = Mapping[str, Sequence[str]]
"""Command lines of `gateway` and `worker`."""

SERVICES: Commands = {
    "gateway": (sys.executable, "-m", "parley.gateway"),
    "worker": (sys.executable, "-m", "parley.persistence_worker"),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that determines which processes run.

    `settings` are the services' environment variables; an external server's URL among them replaces the
    stack's own server. `overrides` are environment variables of single services by part name and win over
    `settings`. `owner` is the pid of the process that the stack ends with, or None.
    """

    paths: StackPaths
    state: StackState
    ports: Ports
    host: str
    settings: Mapping[str, str]
    commands: Commands
    owner: int | None
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def redis_url(self) -> str:
        return self.settings.get("REDIS_URL") or f"redis://{LOOPBACK}:{self.ports.redis}/0"

    @property
    def rabbitmq_url(self) -> str:
        own = f"amqp://{USER}:{self.state.broker_password}@{LOOPBACK}:{self.ports.amqp}/"
        return self.settings.get("RABBITMQ_URL") or own

    @property
    def mongo_url(self) -> str:
        return self.settings.get("MONGO_URL") or f"mongodb://{LOOPBACK}:{self.ports.mongodb}/parley"

    @property
    def jwt_secret(self) -> str:
        return self.settings.get("JWT_SECRET") or self.state.jwt_secret

    @property
    def gateways(self) -> dict[str, int]:
        """Ports by node name."""
        return {node(number): self.ports.gateway(number) for number in _count(self.state.gateways)}

    def edge(self) -> Edge:
        return Edge(host=self.host, port=self.ports.http, accepting=self.gateways, routable=self.gateways)

    def parts(self) -> list[Part]:
        watchdogs = [watchdog(self.paths, self.owner)] if self.owner is not None else []
        return [
            *watchdogs,
            *self._servers(),
            *self._workers(),
            *self._gateways(),
            nginx(self.paths, self.edge()),
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment of every service; an empty setting keeps the service's default."""
        given = {name: value for name, value in self.settings.items() if value}
        return given | {
            "REDIS_URL": self.redis_url,
            "RABBITMQ_URL": self.rabbitmq_url,
            "MONGO_URL": self.mongo_url,
            "JWT_SECRET": self.jwt_secret,
        }

    def _servers(self) -> list[Part]:
        parts = []
        if not self.settings.get("RABBITMQ_URL"):
            parts.append(epmd(self.paths, self.ports.epmd))
            parts.append(rabbitmq(self.paths, self.ports, self.state.broker_password))
        if not self.settings.get("REDIS_URL"):
            parts.append(redis(self.paths, self.ports.redis))
        if not self.settings.get("MONGO_URL"):
            parts.append(mongodb(self.paths, self.ports.mongodb))
        return parts

    def _gateways(self) -> list[Part]:
        command, settings = self.commands["gateway"], self.environment()
        return [
            self._with_overrides(gateway(self.paths, number, self.ports.gateway(number), command, settings))
            for number in _count(self.state.gateways)
        ]

    def _workers(self) -> list[Part]:
        command, settings = self.commands["worker"], self.environment()
        return [
            self._with_overrides(worker(self.paths, number, self.ports.worker(number), command, settings))
            for number in _count(self.state.workers)
        ]

    def _with_overrides(self, part: Part) -> Part:
        return replace(part, env={**part.env, **self.overrides.get(part.name, {})})


def _count(number: int) -> range:
    return range(1, number + 1)
