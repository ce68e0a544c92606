"""Batches of new messages as one transaction in MongoDB, whose commands are sent together.

Each command compares what it changes, and fails where that is not as expected. After a failure the server has
undone the transaction, and refuses the commands behind, the commit among them. So the answer to the commit
tells whether all is stored, or nothing.
"""

from functools import partial

from pymongo.errors import BulkWriteError

from parley.persistence_worker.commit_mongo import term_of
from parley.persistence_worker.compare_and_set import ROW, compare_or_fail
from parley.persistence_worker.ports import Head, HeadMove, StoreUnavailable, WholeBatch
from parley.persistence_worker.primary_connection import Command, PrimaryConnection
from parley.persistence_worker.store_mongo import AS_READ, counters_row, stored_head
from parley.shared import mongo
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, MESSAGES, Document, to_document
from parley.shared.model import Membership
from parley.shared.mongo_socket import raise_for

NO_SUCH_TRANSACTION = 251
IS_AS_READ: Document = {"$and": [AS_READ, {"$eq": [{"$ifNull": ["$leftAt", None]}, None]}]}
IS_AT: Document = {"$eq": [["$lastSeq", "$rev", {"$ifNull": [{"$last": "$epochs.id"}, None]}], f"{ROW}.was"]}

translate_errors = partial(mongo.translate_errors, StoreUnavailable)


class MongoWholeBatches:
    """`WholeBatches` on the connection of all batches."""

    def __init__(self, primary: PrimaryConnection) -> None:
        self._primary = primary

    async def store(self, batch: WholeBatch) -> bool:
        database = self._primary.database
        # A server without a replica set has no transactions, and no terms.
        if batch.term is None:
            return False
        with translate_errors():
            await self._primary.begin()
            if term_of(database) != batch.term:
                return False
            commands: list[Command] = [
                ({"insert": MESSAGES}, "documents", [to_document(each) for each in batch.messages]),
                ({"update": MEMBERSHIPS}, "updates", [_count(*each) for each in batch.counters]),
                ({"update": CONVERSATIONS}, "updates", [_advance(*each) for each in batch.moves]),
            ]
            committed = await self._primary.transaction(commands, database.write_concern.document)
            return committed is not None and _is_stored(committed)


def _is_stored(committed: Document) -> bool:
    """Return whether a transaction is stored, by the answer to its commit.

    Raises:
        PyMongoError: It is not known.
    """
    if committed.get("code") == NO_SUCH_TRANSACTION:
        return False
    raise_for(committed)
    if "writeConcernError" in committed:
        raise BulkWriteError({"writeConcernErrors": [committed["writeConcernError"]]})
    return True


def _count(was: Membership, becomes: Membership) -> Document:
    return compare_or_fail(counters_row(was, becomes), IS_AS_READ)


def _advance(was: Head, move: HeadMove) -> Document:
    epoch = was.epochs[-1].id if was.epochs else None
    row = {"_id": move.conversation_id, "was": [was.seq, was.rev, epoch], "set": stored_head(move)}
    return compare_or_fail(row, IS_AT)
