"""A worker's store, and one whose writes gateways see at once, as they do after the commit of a batch."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

from pymongo.monitoring import CommandListener

from parley.persistence_worker.commit_mongo import wait_for_majority
from parley.persistence_worker.ports import MemberKey
from parley.persistence_worker.primary_connection import PrimaryConnection
from parley.persistence_worker.store_mongo import MongoHeads, MongoMemberships, MongoMessages
from parley.shared import mongo
from parley.shared.model import Membership, Message

ANY = "any conversation"
Store = tuple[MongoMessages, MongoHeads, MongoMemberships]


@asynccontextmanager
async def worker_store(url: str, listener: CommandListener) -> AsyncIterator[tuple[mongo.Database, Store]]:
    """Open a database and a worker's store, whose commands a listener is told."""
    async with mongo.connect(url, event_listeners=[listener]) as database:
        with closing(PrimaryConnection(database)) as primary:
            yield database, (MongoMessages(primary), MongoHeads(primary), MongoMemberships(primary))


class CommittedMessages(MongoMessages):
    """Messages that a majority has after each write."""

    def __init__(self, primary: PrimaryConnection) -> None:
        super().__init__(primary)
        self._of = primary

    async def insert(self, messages: Sequence[Message]) -> int:
        inserted = await super().insert(messages)
        await wait_for_majority(self._of, ANY)
        return inserted

    async def replace(self, changes: Sequence[tuple[Message, int]]) -> int:
        replaced = await super().replace(changes)
        await wait_for_majority(self._of, ANY)
        return replaced


class CommittedMemberships(MongoMemberships):
    """Memberships that a majority has after each write."""

    def __init__(self, primary: PrimaryConnection) -> None:
        super().__init__(primary)
        self._of = primary

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        overtaken = await super().save(changes)
        await wait_for_majority(self._of, ANY)
        return overtaken
