"""The parts that a stack consists of, computed from its size, ports and settings."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from parley.stack import settings
from parley.stack.hosts import Host, Network, loopback_hosts, single_host
from parley.stack.parts.admin import admin
from parley.stack.parts.nginx import UNLIMITED, Edge, nginx
from parley.stack.parts.part import Part
from parley.stack.parts.prometheus import prometheus
from parley.stack.parts.services import gateway, node, worker
from parley.stack.parts.watchdog import watchdog
from parley.stack.paths import StackPaths
from parley.stack.ports import LOOPBACK, Ports
from parley.stack.servers import Servers
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
    `settings`. `owner` is the pid of the process that the stack ends with, or None. `admin_host` is the
    address of the admin page, which is started if `ports` has a port for it.
    """

    paths: StackPaths
    state: StackState
    ports: Ports
    host: str
    settings: Mapping[str, str]
    commands: Commands
    owner: int | None
    admin_host: str = LOOPBACK
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """This machine alone, or the hosts of a cluster, over which servers and services are spread."""
        if self.state.hosts == 1:
            return single_host()
        return Network(self.paths.root).hosts if self.state.namespaces else loopback_hosts()

    @property
    def servers(self) -> Servers:
        return Servers(
            paths=self.paths,
            ports=self.ports,
            hosts=self.hosts,
            settings=self.settings,
            broker_password=self.state.broker_password,
        )

    @property
    def jwt_secret(self) -> str:
        return settings.secret(self.settings) or self.state.jwt_secret

    @property
    def gateways(self) -> dict[str, str]:
        """Addresses (`host:port`) by node name."""
        return {node(number): self.gateway_address(number) for number in _count(self.state.gateways)}

    @property
    def workers(self) -> list[str]:
        """Addresses (`host:port`) of the workers."""
        return [
            f"{self.host_of(number).address}:{self.ports.worker(number)}"
            for number in _count(self.state.workers)
        ]

    def gateway_address(self, number: int) -> str:
        """Return where a gateway listens, whether it is planned or not."""
        return f"{self.host_of(number).address}:{self.ports.gateway(number)}"

    def host_of(self, number: int) -> Host:
        """Return the host of the gateway and of the worker with this number."""
        return self.hosts[(number - 1) % len(self.hosts)]

    def edge(self) -> Edge:
        return Edge(
            host=self.host,
            port=self.ports.http,
            accepting=self.gateways,
            routable=self.gateways,
            trusted_proxies=settings.networks(self.settings, "TRUSTED_PROXIES"),
            most_connections=self._most_connections(),
        )

    def parts(self) -> list[Part]:
        watchdogs = [watchdog(self.paths, self.owner)] if self.owner is not None else []
        return [
            *watchdogs,
            *self.servers.parts(),
            *self._workers(),
            *self._gateways(),
            nginx(self.paths, self.edge()),
            *self._admin(),
            *self._monitoring(),
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment of every service; an empty setting keeps the service's default."""
        given = {name: value for name, value in self.settings.items() if value}
        # The services read a file themselves, at the start and when they reload.
        secret = {} if "JWT_SECRET_FILE" in given else {"JWT_SECRET": self.jwt_secret}
        return given | {
            "REDIS_URL": self.servers.redis_url,
            "RABBITMQ_URL": self.servers.rabbitmq_url,
            "MONGO_URL": self.servers.mongo_url,
            **secret,
        }

    def _admin(self) -> list[Part]:
        if self.ports.admin is None:
            return []
        gateways, settings = self.gateways.values(), self.environment()
        return [admin(self.paths, self.admin_host, self.ports.admin, gateways, self.workers, settings)]

    def _monitoring(self) -> list[Part]:
        if not self.state.observed:
            return []
        targets = {
            job: {part.name: f"{part.address}:{part.port}" for part in parts}
            for job, parts in (("parley-gateway", self._gateways()), ("parley-worker", self._workers()))
        }
        return [prometheus(self.paths, self.ports.prometheus, targets)]

    def _most_connections(self) -> int:
        is_limited = self.settings.get("RATE_LIMITS", "on").lower() not in ("off", "false", "0")
        name, default = "MAX_CONNECTIONS_OF_ADDRESS", 4_000
        return settings.positive(self.settings, name, default) if is_limited else UNLIMITED

    def _gateways(self) -> list[Part]:
        return [self._with_overrides(self._gateway(number)) for number in _count(self.state.gateways)]

    def _gateway(self, number: int) -> Part:
        host, port = self.host_of(number), self.ports.gateway(number)
        return gateway(self.paths, number, host, port, self.commands["gateway"], self.environment())

    def _workers(self) -> list[Part]:
        return [self._with_overrides(self._worker(number)) for number in _count(self.state.workers)]

    def _worker(self, number: int) -> Part:
        host, port = self.host_of(number), self.ports.worker(number)
        return worker(self.paths, number, host, port, self.commands["worker"], self.environment())

    def _with_overrides(self, part: Part) -> Part:
        return replace(part, env={**part.env, **self.overrides.get(part.name, {})})


def _count(number: int) -> range:
    return range(1, number + 1)
