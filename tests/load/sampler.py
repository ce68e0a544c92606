"""Samples processor time and memory of a stack's parts once a second."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

from load.generator.fleet import Fleet
from load.generator.loops import every
from load.processor_time import processor_seconds, resident_bytes
from parley.stack import Stack

SAMPLE_SECONDS = 1.0
CLIENTS = "clients"


@dataclass(frozen=True)
class Sample:
    """The state at a time, by part."""

    at: float
    """By `perf_counter`."""
    processor: Mapping[str, float]
    """Seconds of processor time since the last sample."""
    memory: Mapping[str, int]
    """Resident bytes of the gateways and the workers."""
    sockets: int


@dataclass
class Sampler:
    """Samples of a run; without a stack only those of the clients."""

    fleet: Fleet
    stack: Stack | None
    samples: list[Sample] = field(default_factory=list)
    _groups: dict[str, list[int]] = field(default_factory=dict)
    _before: dict[str, float] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to sample."""
        await self.find_parts()
        self._before = self._processor()
        self._task = asyncio.create_task(every(SAMPLE_SECONDS, self.take))

    def stop(self) -> None:
        """Take the last sample."""
        if self._task is not None:
            self._task.cancel()
        self.take()

    async def find_parts(self) -> None:
        """Read the processes of the parts, which change when one is restarted."""
        if self.stack is not None:
            parts = await asyncio.to_thread(self.stack.status)
            self._groups = {part.name: [part.pid] for part in parts if part.pid}

    def _processor(self) -> dict[str, float]:
        own = os.times()
        clients = own.user + own.system + sum(self.fleet.processor_seconds.values())
        return {**processor_seconds(self._groups), CLIENTS: clients}

    def take(self) -> None:
        """Take a sample."""
        now = self._processor()
        # A part that was restarted has begun at zero.
        used = {name: max(0.0, seconds - self._before.get(name, 0.0)) for name, seconds in now.items()}
        self._before = now
        services = {
            name: pids[0] for name, pids in self._groups.items() if name.startswith(("gateway", "worker"))
        }
        memory = {name: held for name, pid in services.items() if (held := resident_bytes(pid))}
        self.samples.append(Sample(perf_counter(), used, memory, self.fleet.connected))
