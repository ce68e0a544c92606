"""The commit barrier: waits until the records that were accepted so far are stored."""

import asyncio

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Outbox
from parley.gateway.live.commit_waiters import CommitWaiters
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.shared import rooms
from parley.shared.model import new_id, now
from parley.shared.records import Deletion

BARRIER_SECONDS = 5.0


class RecordBarrier:
    """`CommitBarrier` by a record of its own, which the worker meets behind the others.

    It deletes a message that does not exist, for a user who does not exist. Workers of all versions refuse
    that, and publish so after they have stored what lay before it.
    """

    def __init__(self, outbox: Outbox, commit_waiters: CommitWaiters, manager: RedisManager) -> None:
        self._outbox = outbox
        self._commit_waiters = commit_waiters
        self._manager = manager

    async def wait(self, conversation_id: str) -> None:
        """Wait until what was accepted by now is stored. Raises `Unavailable`, `Overloaded`."""
        record = Deletion(
            id=new_id(), conversation_id=conversation_id, message_id=new_id(), user_id=new_id(), at=now()
        )
        room = rooms.user(record.user_id)
        self._manager.retain(room)
        try:
            async with asyncio.timeout(BARRIER_SECONDS):
                await self._pass(record, room)
        except TimeoutError:
            raise Unavailable("Messages wait too long to be stored. Retry later.") from None
        finally:
            self._manager.release(room)

    async def _pass(self, record: Deletion, room: str) -> None:
        # Subscribe first: the refusal may be published before the broker's confirm is here.
        await self._manager.subscribe([room])
        with self._commit_waiters.expected(record.id) as refused:
            await self._outbox.put(record)
            await refused
