"""Calculates from unit costs what users cost in each part, and which part is full first. Arithmetic only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from load.scale_model.measure import UnitCosts

MIB = 1 << 20
PRESENCE_SECONDS = 0.1
"""A gateway gathers presence for so long into one publication, which all gateways hear."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Users who are all online, with one socket each, spread evenly over gateways and groups.

    Attributes:
        users: Their number.
        gateways: The number of gateways.
        conversations: Conversations of each user.
        size: Members of each conversation.
        messages: Messages that a user sends in a second.
        session: Seconds until a user disconnects and another one connects.
    """

    users: int
    gateways: int
    conversations: float = 10
    size: int = 10
    messages: float = 0.02
    session: float = 600.0

    @property
    def touched(self) -> float:
        """Gateways that hold a member of a conversation."""
        return self.gateways * (1 - (1 - 1 / self.gateways) ** self.size)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The resources of one of each part; cores are of the speed of the machine that was measured."""

    gateway_cores: float = 1.0
    gateway_bytes: float = 1024 * MIB
    gateway_sockets: float = 20_000
    partitions: float = 8.0
    mongodb_cores: float = 8.0
    rabbitmq_cores: float = 8.0
    nginx_cores: float = 4.0
    redis_bytes: float = 256 * MIB
    redis_bytes_of_network: float = 125e6


@dataclass(frozen=True)
class Use:
    """The use of one resource of a part, and how much of it there is."""

    part: str
    resource: str
    used: float
    capacity: float

    @property
    def share(self) -> float:
        """The used share; 1 is full."""
        return self.used / self.capacity


def processor(costs: UnitCosts, load: Workload, part: str) -> float:
    """Return the cores that all processes of a part use together."""
    return sum(of(part) for of in _terms(costs, load, part).values())


def by_cause(costs: UnitCosts, load: Workload, part: str) -> dict[str, float]:
    """Return the cores of a part by what they are used for, or the calls and bytes of a second."""
    return {name: term(part) for name, term in _terms(costs, load, part).items()}


def _terms(costs: UnitCosts, load: Workload, _part: str) -> Mapping[str, "Term"]:
    connects = load.users / load.session
    changes = 2 * connects
    messages = load.users * load.messages
    contacts = load.conversations * (load.size - 1)
    return {
        "idle": Term(costs.idle, load.gateways / 2),
        "sockets": Term(costs.socket, load.users),
        "audits": Term(costs.audit, load.gateways),
        "connects": Term(costs.connect, connects),
        "conversations of a connect": Term(costs.conversation, connects * load.conversations),
        "presence received": Term(costs.presence_received, changes * (load.gateways - 1)),
        "presence delivered": Term(costs.presence_delivery, changes * contacts),
        "messages": Term(costs.message, messages),
        "events of gateways": Term(costs.touched, messages * load.touched),
        "deliveries": Term(costs.delivery, messages * load.size),
        "presence published": Term(costs.touched, _presence_deliveries(load), only="redis"),
    }


@dataclass(frozen=True)
class Term:
    """Costs and their number in a second."""

    costs: Mapping[str, float]
    count: float
    only: str | None = None

    def __call__(self, part: str) -> float:
        counts = self.only is None or part.startswith(self.only)
        return self.costs.get(part, 0.0) * self.count if counts else 0.0


def _presence_deliveries(load: Workload) -> float:
    """Return how often Redis hands a publication of presence to a gateway in a second."""
    of_gateway = min(2 * load.users / load.session / load.gateways, 1 / PRESENCE_SECONDS)
    return of_gateway * load.gateways * load.gateways


def subscriptions(costs: UnitCosts, load: Workload) -> float:
    """Return the channels of one gateway."""
    conversations = load.users * load.conversations / load.size
    here = conversations * load.touched / load.gateways
    channels = costs.channels
    return (
        channels["gateway"] + channels["conversation"] * here + channels["user"] * load.users / load.gateways
    )


def gateway_bytes(costs: UnitCosts, load: Workload) -> float:
    """Return the memory of one gateway. The measured sockets have one conversation each."""
    memory = costs.memory
    return memory["gateway"] + load.users / load.gateways * (
        memory["socket"] + memory.get("membership", 0.0) * (load.conversations - 1)
    )


def redis_bytes(costs: UnitCosts, load: Workload) -> float:
    """Return the memory of Redis."""
    memory = costs.memory
    subscribed = memory["subscription"] * load.gateways * subscriptions(costs, load)
    return memory["redis"] + memory.get("presence", 0.0) * load.users + subscribed


def usage(costs: UnitCosts, load: Workload, capacity: Capacity) -> list[Use]:
    """Return the use of each resource of each part, the fullest first."""
    each = load.gateways
    found = [
        Use("gateways", "processor", processor(costs, load, "gateways") / each, capacity.gateway_cores),
        Use("gateways", "memory", gateway_bytes(costs, load), capacity.gateway_bytes),
        Use("gateways", "sockets", load.users / each, capacity.gateway_sockets),
        Use("workers", "processor", processor(costs, load, "workers"), capacity.partitions),
        Use("mongodb", "processor", processor(costs, load, "mongodb"), capacity.mongodb_cores),
        Use("rabbitmq", "processor", processor(costs, load, "rabbitmq"), capacity.rabbitmq_cores),
        Use("redis", "processor", processor(costs, load, "redis"), 1.0),
        Use("redis", "memory", redis_bytes(costs, load), capacity.redis_bytes),
        Use("redis", "network", processor(costs, load, "redis bytes"), capacity.redis_bytes_of_network),
        Use("nginx", "processor", processor(costs, load, "nginx"), capacity.nginx_cores),
    ]
    return sorted(found, key=lambda use: -use.share)


def full_at(costs: UnitCosts, load: Workload, capacity: Capacity, part: str, resource: str) -> int:
    """Return the users at which a resource is full, with this number of gateways."""
    low, high = 1, 1 << 40
    while high - low > max(1, low // 100):
        users = (low + high) // 2
        found = usage(costs, replace(load, users=users), capacity)
        share = next(use.share for use in found if (use.part, use.resource) == (part, resource))
        low, high = (users, high) if share < 1 else (low, users)
    return low
