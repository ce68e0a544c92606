"""Processor time and memory of processes, read from /proc by the name of the part that they are."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from parley.stack import Stack

TICKS = os.sysconf("SC_CLK_TCK")
GROUP, USER_TIME, SYSTEM_TIME = 2, 11, 12
"""Fields of /proc/PID/stat after the name of the program."""
KIB = 1 << 10

Groups = Mapping[str, Sequence[int]]
"""Process groups by the kind of the part."""


def stack_groups(stack: Stack) -> dict[str, list[int]]:
    """Return the process groups of a running stack: gateways, workers, mongodb, rabbitmq, redis, nginx."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for part in stack.status():
        kind = part.name.partition("-")[0]
        groups[{"gateway": "gateways", "worker": "workers"}.get(kind, kind)].append(stack.pid(part.name))
    return dict(groups)


def processor_seconds(groups: Groups) -> dict[str, float]:
    """Return the seconds that the processes of each kind have used so far, with their helper processes."""
    ticks: defaultdict[int, int] = defaultdict(int)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        fields = _stat(pid)
        if fields:
            ticks[int(fields[GROUP])] += int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])
    return {kind: sum(ticks[group] for group in members) / TICKS for kind, members in groups.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what was used between two readings."""
    return {kind: after[kind] - before[kind] for kind in before}


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is in use; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * KIB for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def _stat(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
