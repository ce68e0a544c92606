"""The state that a stack keeps from one `up` to the next: its ports, its size and its secrets."""

import json
import secrets
from dataclasses import asdict, dataclass, replace

from parley.stack.errors import StackError
from parley.stack.paths import StackPaths, write
from parley.stack.ports import MAX_REPLICAS, block_is_free, free_base


@dataclass(frozen=True, kw_only=True)
class StackState:
    """`base` is the first port of the stack's block; `gateways` and `workers` are counts."""

    base: int
    gateways: int
    workers: int
    broker_password: str
    jwt_secret: str

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

    def sized(self, gateways: int | None, workers: int | None) -> "StackState":
        """Return this state with other counts; None keeps a count."""
        return replace(
            self,
            gateways=_count("gateways", self.gateways if gateways is None else gateways),
            workers=_count("workers", self.workers if workers is None else workers),
        )

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
