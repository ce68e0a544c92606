"""Reads all collections as they were at one moment, while the services go on writing.

MongoDB answers reads with the read concern `snapshot` from one cluster time, which a majority had
(https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/). It keeps such a state for
`minSnapshotHistoryWindowInSeconds`, 300 by default.
"""

import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from bson import Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from parley.cli.errors import CommandError
from parley.shared.documents import CONVERSATIONS

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
"""Leaves documents as they are: their fields do not matter here."""
FIRST_BATCH, BATCH_DOCUMENTS, BATCH_BYTES = 20, 2_000, 2 << 20
"""Without these MongoDB sends 16 MB at a time, which take 100 MB here: a container may not have so much."""
TOO_OLD, CHANGED = 239, 246
"""Error codes of MongoDB: SnapshotTooOld, and SnapshotUnavailable, as after an index was built."""
NO_REPLICA_SET = (72, 123, 263)
"""InvalidOptions, NotAReplicaSet, OperationNotSupportedInTransaction: a server without an oplog."""


class Snapshot:
    """The stored data of one moment.

    Args:
        database: The database.
        session: A session, to which the cursors belong.
        cluster_time: The moment.
        collections: The collections that existed then. MongoDB refuses to read others as of then.
    """

    def __init__(
        self, database: Any, session: Any, cluster_time: Timestamp, collections: Collection[str]
    ) -> None:
        self._database = database
        self._session = session
        self._since = time.monotonic()
        self._collections = collections
        self.cluster_time = cluster_time

    async def documents(self, collection: str) -> AsyncIterator[bytes]:
        """Yield the documents of a collection in BSON, some MB at a time.

        Raises:
            CommandError: MongoDB has this state no more.
        """
        if collection not in self._collections:
            return
        concern = {"level": "snapshot", "atClusterTime": self.cluster_time}
        cursor = await self._ask({"find": collection, "readConcern": concern, "batchSize": FIRST_BATCH})
        documents = cursor["firstBatch"]
        while documents:
            batch = b"".join(document.raw for document in documents)
            size = _batch_size(len(batch), len(documents))
            yield batch
            if not cursor["id"]:
                return
            more = {"getMore": cursor["id"], "collection": collection, "batchSize": size}
            cursor = await self._ask(more)
            documents = cursor["nextBatch"]

    async def _ask(self, command: dict[str, Any]) -> Any:
        with self._kept():
            answer = await self._database.command(command, session=self._session, codec_options=RAW)
        return answer["cursor"]

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OperationFailure as error:
            if error.code == CHANGED:
                raise CommandError(
                    "A collection or an index was created while the backup was read, as services do when "
                    "they start for the first time: try again."
                ) from error
            if error.code != TOO_OLD:
                raise
            seconds = time.monotonic() - self._since
            raise CommandError(
                f"MongoDB no longer has the state of {seconds:,.0f} s ago, from which the backup is read: "
                "raise minSnapshotHistoryWindowInSeconds as deploy/BACKUP.md says, and try again."
            ) from error


def _batch_size(read_bytes: int, read_documents: int) -> int:
    """Return the number of documents of the next batch, by the size of those before."""
    return max(1, min(BATCH_DOCUMENTS, BATCH_BYTES * read_documents // read_bytes))


@asynccontextmanager
async def take(database: Any) -> AsyncIterator[Snapshot]:
    """Take a snapshot of a database, which ends with the context.

    Raises:
        CommandError: The server is no member of a replica set, or no service has ever used the database.
    """
    cluster_time, collections = await _moment(database)
    async with await database.client.start_session(causal_consistency=False) as session:
        yield Snapshot(database, session, cluster_time, collections)


async def _moment(database: Any) -> tuple[Timestamp, set[str]]:
    """Return a time between two moments at which the database had the same collections, and these."""
    collections = set(await database.list_collection_names())
    while True:
        cluster_time = await _now(database)
        if cluster_time is None:
            raise CommandError(f"The database {database.name} holds no data of Parley: correct MONGO_URL.")
        before, collections = collections, set(await database.list_collection_names())
        if collections == before:
            return cluster_time, collections


async def _now(database: Any) -> Timestamp | None:
    """Return the time of the newest state that a majority has; None without a collection to read it from."""
    command = {"find": CONVERSATIONS, "limit": 1, "readConcern": {"level": "snapshot"}}
    try:
        answer = await database.command(command)
    except OperationFailure as error:
        if error.code not in NO_REPLICA_SET:
            raise
        raise CommandError(
            "MongoDB gives no consistent state to read: it must be a replica set, even if of one member, "
            "and of version 5.0 or newer."
        ) from error
    found: Timestamp | None = answer["cursor"].get("atClusterTime")
    return found
