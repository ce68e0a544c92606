"""What a stack remembers from one `up` to the next: its ports, its size, and its secrets."""

import json
import secrets
from dataclasses import asdict, dataclass, replace

from parley.stack.errors import StackError
from parley.stack.paths import StackPaths, write
from parley.stack.ports import MOST_REPLICAS, block_is_free, free_base


@dataclass(frozen=True, kw_only=True)
class StackState:
    """`base` is the first port of the stack's block; gateways and workers are counts."""

    base: int
    gateways: int
    workers: int
    broker_password: str
    jwt_secret: str

    def sized(self, gateways: int | None, workers: int | None) -> "StackState":
        """The same with other counts; None keeps what was."""
        return replace(
            self,
            gateways=_count("gateways", self.gateways if gateways is None else gateways),
            workers=_count("workers", self.workers if workers is None else workers),
        )

    def on_free_ports(self) -> "StackState":
        """The same, on another block of ports if something else uses ours."""
        return self if block_is_free(self.base) else replace(self, base=free_base())

    def save(self, place: StackPaths) -> None:
        write(place.memory, json.dumps(asdict(self), indent=2) + "\n")


def recall(place: StackPaths) -> StackState:
    """What the place remembers, else a fresh memory of two gateways and two workers."""
    if not place.memory.exists():
        return _fresh()
    try:
        memory = StackState(**json.loads(place.memory.read_text()))
    except (ValueError, TypeError):
        raise StackError(f"{place.memory} is damaged: remove it (the ports will be chosen anew).") from None
    return memory


def _fresh() -> StackState:
    return StackState(
        base=free_base(),
        gateways=2,
        workers=2,
        broker_password=secrets.token_hex(16),
        jwt_secret=secrets.token_urlsafe(48),
    )


def _count(what: str, number: int) -> int:
    if not 1 <= number <= MOST_REPLICAS:
        raise StackError(f"There can be 1 to {MOST_REPLICAS} {what}, not {number}.")
    return number
