"""The mix of groups: `20x10` is twenty groups of ten, `1x1000@20` one of a thousand with 20 messages/s."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

PART = re.compile(r"(?P<count>\d+)x(?P<size>\d+)(?:@(?P<rate>\d+(?:\.\d+)?))?")


@dataclass(frozen=True)
class GroupKind:
    """Groups of one size; `rate` is that of all of them in messages per second, or None."""

    count: int
    size: int
    rate: float | None = None

    @property
    def sockets(self) -> int:
        return self.count * self.size


def parse_groups(text: str) -> tuple[GroupKind, ...]:
    """Return the kinds in a text such as `1000x10,1x1000@20`.

    Raises:
        ValueError: it is none.
    """
    return tuple(_parse(part.strip()) for part in text.split(","))


def _parse(part: str) -> GroupKind:
    found = PART.fullmatch(part)
    if not found or not int(found["count"]) or int(found["size"]) < 2:
        raise ValueError(f"{part!r} is not like 20x10 or 1x1000@20: groups, members (2 at least), messages/s")
    return GroupKind(int(found["count"]), int(found["size"]), float(found["rate"]) if found["rate"] else None)


def group_rates(kinds: Sequence[GroupKind], rate: float) -> tuple[float, ...]:
    """Return the rate of one group of each kind; `rate` is shared by the groups without one of their own."""
    shared = sum(kind.count for kind in kinds if kind.rate is None)
    return tuple((rate / shared if kind.rate is None else kind.rate / kind.count) for kind in kinds)


def split_groups(kinds: Sequence[GroupKind], processes: int) -> list[list[int]]:
    """Return for each process the kinds (by index) of its groups; a group is in one process."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    loads = [0] * processes
    groups = [index for index, kind in enumerate(kinds) for _ in range(kind.count)]
    for index in sorted(groups, key=lambda index: -kinds[index].size):
        least = loads.index(min(loads))
        shares[least].append(index)
        loads[least] += kinds[index].size
    return shares
