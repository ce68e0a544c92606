"""Connection draining: clients of a stopping node are sent to other nodes, spread over time."""

import asyncio
from collections.abc import Iterable

from parley.gateway.transport.engine_session import EngineSession

GOING_AWAY = 1001
BATCH = 20
"""Connections that are closed at once."""
ANSWER_SECONDS, ANSWER_CHECKS = 0.02, 100
"""How often, and how many times, a connection is checked for answers that it still waits for."""


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
    for _ in range(ANSWER_CHECKS):
        if not session.unanswered:
            break
        await asyncio.sleep(ANSWER_SECONDS)
    session.close_connection(GOING_AWAY)
