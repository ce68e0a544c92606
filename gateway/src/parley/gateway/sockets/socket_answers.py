"""Answers to sockets: paced by what each client takes, and counted until it has taken them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from parley.gateway.core.errors import Overloaded
from parley.gateway.live.sessions import Session
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.state.answer_budget import WAIT_SECONDS, AnswerBudget

log = structlog.get_logger()

UNREAD_RATIO = 0.25
"""The share of its unread limit above which a client is read nothing more for."""
POLL_SECONDS = 0.02
TAKE_SECONDS = 10.0
"""A client that has not taken an answer after so long is disconnected: its bytes are others' too."""

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class SocketAnswers:
    """Lets a socket's reads begin when its client has taken what was written before."""

    def __init__(self, budget: AnswerBudget, manager: RedisManager, spawn: Spawn) -> None:
        self._budget = budget
        self._manager = manager
        self._spawn = spawn

    async def wait_until_read(self, session: Session) -> None:
        """Wait until a client has taken what was written before. Raises `Overloaded` if it does not."""
        if not await self._is_read(session, WAIT_SECONDS):
            raise Overloaded("Read what was sent to you before. Retry later.", retry_after=1.0)

    async def take(self, session: Session, size: int) -> None:
        """Take the bytes of an answer. Raises `Overloaded` if too much is being read for the user."""
        await self._budget.take(session.user_id, size)

    def give_back_when_read(self, session: Session, size: int) -> None:
        """Give the bytes of an answer back once its client has read it, or was disconnected."""
        self._spawn(self._give_back(session, size))

    async def _give_back(self, session: Session, size: int) -> None:
        try:
            # The answer is written after its command has returned.
            await asyncio.sleep(0)
            if not await self._is_read(session, TAKE_SECONDS):
                log.info("gateway.socket.answer_not_read", user=session.user_id)
                self._manager.close_connection(session.sid, session.namespace)
        finally:
            self._budget.give_back(session.user_id, size)

    async def _is_read(self, session: Session, seconds: float) -> bool:
        """Wait until a client has read most of what was written. Returns False if it takes too long."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._manager.unread_ratio(session.sid, session.namespace) >= UNREAD_RATIO:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True
