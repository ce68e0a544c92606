"""The commit of a batch in MongoDB: one wait until a majority has all that the batch has read and written.

A batch reads the primary's newest data. Its last write waits until a majority has it, even if it changes
nothing, and thereby all that the primary wrote before: in this batch, or in an attempt that timed out. This
holds within one term of one primary. A new primary may have rolled back data that the batch has read or
written under its predecessor, so the commit compares the terms.
"""

from collections.abc import Sequence
from typing import Any

from pymongo import WriteConcern
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from parley.persistence_worker.ports import StoreUnavailable, Term
from parley.shared.documents import CONVERSATIONS, Document

NEWEST = ReadConcern("local")
NO_WAIT = WriteConcern(1)


def term_of(database: Any) -> Term:
    """Return the id of the election that the present primary has won; None without a replica set.

    It is what the driver knows, so it costs no call. It may be out of date, never ahead.
    """
    servers = database.client.topology_description.server_descriptions().values()
    return next((server.election_id for server in servers if server.election_id is not None), None)


def newest(database: Any, name: str) -> Any:
    """Return a collection that reads the primary's newest data, which no majority need have yet."""
    return database.get_collection(name, read_concern=NEWEST)


def without_wait(collection: Any) -> Any:
    """Return a collection whose writes are not waited for, because the batch's commit waits for them.

    Without a replica set there is no term to compare, so each write is waited for.
    """
    if term_of(collection.database) is None:
        return collection
    return collection.with_options(write_concern=NO_WAIT)


async def commit(database: Any, updates: Sequence[Document], term: Term) -> int:
    """Update conversations; wait until a majority has this and all that was read and written in `term`.

    Args:
        database: The database.
        updates: Statements of the `update` command (https://www.mongodb.com/docs/manual/reference/command/update).
        term: The term in which the batch began.

    Returns:
        The number of conversations that matched.

    Raises:
        StoreUnavailable: Another primary has taken over since the batch began.
        PyMongoError: The wait has failed, or an update.
    """
    concern = database.write_concern.document
    command = {"update": CONVERSATIONS, "updates": list(updates), "ordered": False, "writeConcern": concern}
    answer = await database.command(command)
    _raise_errors(answer)
    elected = answer.get("electionId")
    if elected is None and term is not None:
        # The manual does not list this field of the answer. If a server leaves it out, `hello` has it.
        elected = (await database.command("hello")).get("electionId")
    if elected != term:
        raise StoreUnavailable("another primary took over while the batch was stored")
    return int(answer["n"])


def _raise_errors(answer: Document) -> None:
    failed = answer.get("writeErrors") or []
    unconfirmed = [answer["writeConcernError"]] if "writeConcernError" in answer else []
    if failed or unconfirmed:
        raise BulkWriteError({"writeErrors": failed, "writeConcernErrors": unconfirmed})
