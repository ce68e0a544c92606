"""The state that a stack keeps from one `up` to the next: its ports, its size, its hosts and its secrets."""

import json
import secrets
from dataclasses import asdict, dataclass, replace

from parley.stack.errors import StackError
from parley.stack.hosts import HOST_COUNTS, can_create_namespaces
from parley.stack.paths import StackPaths, write
from parley.stack.ports import MAX_REPLICAS, block_is_free, free_base


@dataclass(frozen=True, kw_only=True)
class StackState:
    """The kept state of a stack.

    Attributes:
        base: the first port of the stack's block.
        gateways: their number.
        workers: their number.
        hosts: 1, or the number of a cluster's hosts.
        namespaces: whether the hosts of a cluster are network namespaces.
        observed: whether Prometheus runs beside the stack.
    """

    base: int
    gateways: int
    workers: int
    broker_password: str
    jwt_secret: str
    hosts: int = 1
    namespaces: bool = False
    observed: bool = False

    @classmethod
    def load(cls, paths: StackPaths) -> "StackState":
        """Return the saved state, or a fresh one of two gateways and two workers.

        Raises:
            StackError: the file is damaged.
        """
        if not paths.state.exists():
            return _fresh()
        try:
            return cls(**json.loads(paths.state.read_text()))
        except (ValueError, TypeError):
            message = f"{paths.state} is damaged: remove it, and new ports will be chosen."
            raise StackError(message) from None

    def save(self, paths: StackPaths) -> None:
        write(paths.state, json.dumps(asdict(self), indent=2) + "\n")

    def sized(self, gateways: int | None, workers: int | None, hosts: int | None = None) -> "StackState":
        """Return this state with other counts; None keeps a count, but gives each host of a cluster one."""
        hosts = self.hosts if hosts is None else hosts
        if hosts not in HOST_COUNTS:
            raise StackError(f"A stack runs on 1 host or as a cluster on 3, not on {hosts}.")
        return replace(
            self,
            gateways=_count("gateways", max(self.gateways, hosts) if gateways is None else gateways),
            workers=_count("workers", max(self.workers, hosts) if workers is None else workers),
            hosts=hosts,
        )

    def with_monitoring(self, observed: bool | None) -> "StackState":
        """Return this state with or without Prometheus; None keeps it as it is."""
        return self if observed is None else replace(self, observed=observed)

    def on_this_machine(self) -> "StackState":
        """Return this state with network namespaces for the hosts of a cluster, if they can be made here."""
        return replace(self, namespaces=self.hosts > 1 and can_create_namespaces())

    def on_free_ports(self) -> "StackState":
        """Return this state, on another block of ports when this one is in use."""
        return self if block_is_free(self.base) else replace(self, base=free_base())


def _fresh() -> StackState:
    return StackState(
        base=free_base(),
        gateways=2,
        workers=2,
        broker_password=secrets.token_hex(16),
        jwt_secret=secrets.token_urlsafe(48),
    )


def _count(name: str, number: int) -> int:
    if not 1 <= number <= MAX_REPLICAS:
        raise StackError(f"A stack has 1 to {MAX_REPLICAS} {name}, not {number}.")
    return number
