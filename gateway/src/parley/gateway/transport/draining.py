"""Connection draining: clients of a stopping node are sent to other nodes, spread over time."""

import asyncio
from collections.abc import Callable, Iterable

from parley.gateway.transport.engine_session import EngineSession

GOING_AWAY = 1001
BATCH = 20
"""Connections that are closed at once."""
CHECK_SECONDS = 0.02
ANSWER_CHECKS, CLOSED_CHECKS = 100, 25
"""How many times a connection is checked for answers that it still waits for, and for its session's end."""


async def drain_connections(sessions: Iterable[EngineSession], seconds: float) -> None:
    """Close all connections within about `seconds`; clients reconnect after a lost connection."""
    draining = list(sessions)
    closing: list[asyncio.Task[None]] = []
    for number, session in enumerate(draining):
        closing.append(asyncio.create_task(_close(session)))
        if number % BATCH == BATCH - 1:
            await asyncio.sleep(seconds * BATCH / len(draining))
    await asyncio.gather(*closing)


async def _close(session: EngineSession) -> None:
    """Close a connection as soon as everything that its client sent is answered, or after two seconds."""
    if session.writer is not None:
        session.writer.stop_reading()
    await _wait(lambda: not session.unanswered, ANSWER_CHECKS)
    session.close_connection(GOING_AWAY)
    # The parts that stop next write the last of what there is to say of a session.
    await _wait(lambda: session.closed, CLOSED_CHECKS)


async def _wait(is_done: Callable[[], bool], checks: int) -> None:
    for _ in range(checks):
        if is_done():
            return
        await asyncio.sleep(CHECK_SECONDS)
