"""The commit of a batch in MongoDB: one wait until a majority has all that the batch has read and written.

A batch reads the primary's newest data, and writes without waiting. Its last write waits until a majority has
it, even if it changes nothing, and thereby all that the primary wrote before: in this batch, or in an attempt
that timed out.

A new primary may have rolled back what the batch has read or written under its predecessor. A head or a
counter that it stored would refer to messages that it does not have. So the writes of a batch take one
connection, which does not outlast a roll-back (`PrimaryConnection`): they are stored by one server, each on
top of the earlier ones, or fail. The commit compares the terms too: a batch that outlasts one is begun again.
"""

from collections.abc import Sequence
from typing import Any

from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from parley.persistence_worker.ports import StoreUnavailable, Term
from parley.persistence_worker.primary_connection import PrimaryConnection
from parley.shared.documents import CONVERSATIONS, Document

NEWEST = ReadConcern("local")
NO_WAIT: Document = {"w": 1}


def term_of(database: Any) -> Term:
    """Return the id of the election that the present primary has won; None without a replica set.

    It is what the driver knows, so it costs no call. It may be out of date, never ahead.
    """
    servers = database.client.topology_description.server_descriptions().values()
    return next((server.election_id for server in servers if server.election_id is not None), None)


def newest(database: Any, name: str) -> Any:
    """Return a collection that reads the primary's newest data, which no majority need have yet."""
    return database.get_collection(name, read_concern=NEWEST)


async def write(
    primary: PrimaryConnection, command: Document, name: str, documents: Sequence[Document]
) -> int:
    """Write documents without a wait, because the batch's commit waits for them.

    Without a replica set there is no term to compare, so each write is waited for.

    Args:
        primary: The connection of the batch.
        command: The `insert` or `update` command.
        name: The field of the documents: `documents` or `updates`.
        documents: The documents.

    Returns:
        The number of documents that were inserted or changed.

    Raises:
        BulkWriteError: Some of the writes have failed.
        PyMongoError: All of them have.
    """
    database = primary.database
    concern = NO_WAIT if term_of(database) is not None else database.write_concern.document
    answer = await primary.command({**command, "writeConcern": concern}, name, documents)
    _raise_errors(answer)
    return int(answer["nModified"] if "nModified" in answer else answer["n"])


async def wait_for_majority(primary: PrimaryConnection, conversation_id: str) -> None:
    """Wait until a majority has all that the primary has written, by an update that changes nothing."""
    command = {"update": CONVERSATIONS, "writeConcern": primary.database.write_concern.document}
    _raise_errors(await primary.command(command, "updates", [no_change(conversation_id)]))


def no_change(conversation_id: str) -> Document:
    """Return an update that changes nothing; a wait for it is one for all earlier writes."""
    return {"q": {"_id": conversation_id}, "u": {"$max": {"lastSeq": 0}}}


async def commit(primary: PrimaryConnection, updates: Sequence[Document], term: Term) -> int:
    """Update conversations; wait until a majority has this and all that was read and written in `term`.

    Args:
        primary: The connection of the batch.
        updates: Statements of the `update` command (https://www.mongodb.com/docs/manual/reference/command/update).
        term: The term in which the batch began.

    Returns:
        The number of conversations that were changed.

    Raises:
        StoreUnavailable: Another primary has taken over since the batch began.
        PyMongoError: The wait has failed, or an update.
    """
    concern = primary.database.write_concern.document
    command = {"update": CONVERSATIONS, "ordered": False, "writeConcern": concern}
    answer = await primary.command(command, "updates", updates)
    _raise_errors(answer)
    elected = answer.get("electionId")
    if elected is None and term is not None:
        # The manual does not list this field of the answer. If a server leaves it out, `hello` has it.
        elected = (await primary.command({"hello": 1})).get("electionId")
    if elected != term:
        raise StoreUnavailable("another primary took over while the batch was stored")
    return int(answer["nModified"])


def _raise_errors(answer: Document) -> None:
    failed = answer.get("writeErrors") or []
    unconfirmed = [answer["writeConcernError"]] if "writeConcernError" in answer else []
    if failed or unconfirmed:
        raise BulkWriteError({"writeErrors": failed, "writeConcernErrors": unconfirmed})
