"""The life cycle of a node: starts its components, and stops them in stages with time limits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from parley.shared.cancellation import within

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Something that runs beside the requests; `stop_seconds` is how long its end may take."""

    name: str
    start: Callable[[], None] | None = None
    stop: Callable[[], Awaitable[None]] | None = None
    stop_seconds: float = 4.0


class Lifecycle:
    """Starts components in order, and stops them in stages.

    The components of a stage stop side by side, because each may wait for a server that is away. A
    component that exceeds its time, or fails, is logged and does not hold up the next stage.
    """

    def __init__(self, stages: Sequence[Sequence[Component]]) -> None:
        self._stages = stages
        self.stopping = False

    def start(self) -> None:
        """Start all components, in the order in which they are listed."""
        for component in (c for stage in self._stages for c in stage):
            if component.start is not None:
                component.start()

    async def stop(self) -> None:
        """Stop the stages, one after the other."""
        self.stopping = True
        for stage in self._stages:
            await asyncio.gather(*map(_stop, stage))


async def _stop(component: Component) -> None:
    if component.stop is None:
        return
    try:
        await within(component.stop_seconds, component.stop())
    except TimeoutError as error:
        log.error(
            "gateway.shutdown.timeout",
            component=component.name,
            seconds=component.stop_seconds,
            waits_for=str(error),
        )
    except Exception:
        log.exception("gateway.shutdown.failed", component=component.name)
