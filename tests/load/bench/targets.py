"""The systems that are compared: Parley, the guides' stack, and the same without storage."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from load.processor_time import resident_bytes, stack_groups
from load.yardstick import Yardstick
from parley.stack import Stack

PARLEY, GUIDES, MEMORY = "parley", "guides", "memory"
TITLES = {PARLEY: "Parley", GUIDES: "guides' stack", MEMORY: "the same, no storage"}


@dataclass(frozen=True)
class Target:
    """A running system under load.

    Clients connect to the gateways themselves: the guides' stack has nothing in front of it either.
    """

    name: str
    urls: Sequence[str]
    secret: str
    confirms: bool
    """Whether the server tells when a message is stored, besides its answer."""
    groups: Mapping[str, Sequence[int]]
    """The process groups whose processor time counts, by the kind of the part."""
    gateways: Sequence[int]
    """The pids of the processes that hold the sockets."""
    mongo_url: str
    collect: Callable[[], None] = lambda: None
    """Have the processes give up garbage."""

    def resident_bytes(self) -> int:
        """Return the memory of the processes that hold the sockets."""
        return sum(map(resident_bytes, self.gateways))


@contextmanager
def running(
    names: Sequence[str], directory: Path, workers: int, partitions: int
) -> Iterator[dict[str, Target]]:
    """Start the systems of these names; all use the MongoDB and the Redis of one stack."""
    settings = {"RATE_LIMITS": "off", "PARTITIONS": str(partitions)}
    with (
        Stack(directory, gateways=2, workers=workers, settings=settings) as stack,
        ExitStack() as yardsticks,
    ):
        started = {
            name: yardsticks.enter_context(
                Yardstick(stack, directory / f"{name}.log", storage=name == GUIDES)
            )
            for name in names
            if name != PARLEY
        }
        parts = stack_groups(stack)
        targets = {name: _yardstick(name, stack, each, parts) for name, each in started.items()}
        if PARLEY in names:
            targets[PARLEY] = _parley(stack, parts)
        yield {name: targets[name] for name in names}


def _parley(stack: Stack, parts: Mapping[str, Sequence[int]]) -> Target:
    counted = ("gateways", "workers", "mongodb", "rabbitmq", "redis")
    return Target(
        name=PARLEY,
        urls=stack.gateway_urls,
        secret=stack.jwt_secret,
        confirms=True,
        groups={kind: parts[kind] for kind in counted},
        gateways=parts["gateways"],
        mongo_url=stack.mongo_url,
    )


def _yardstick(name: str, stack: Stack, started: Yardstick, parts: Mapping[str, Sequence[int]]) -> Target:
    counted = ("mongodb", "redis") if name == GUIDES else ("redis",)

    def collect() -> None:
        for pid in started.pids:
            os.kill(pid, signal.SIGUSR2)

    return Target(
        name=name,
        urls=started.urls,
        secret=stack.jwt_secret,
        confirms=False,
        groups={"node": started.pids, **{kind: parts[kind] for kind in counted}},
        gateways=started.pids,
        mongo_url=stack.mongo_url,
        collect=collect,
    )
