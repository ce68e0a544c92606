"""Documents in the SQLite file of the MongoDB server that the stack ran up to version 0.2.0.

The server, nx-27017 0.8, kept a table for each collection, with a document as JSON in each row. Files of
GridFS are the exception: their fields and bytes are columns. A date is
`{"$date": "2026-11-27T10:40:20.682000"}` in UTC. One that `$set` has written is bare text: the names of
the fields tell such dates from other texts.
"""

import base64
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import Binary, ObjectId

Document = dict[str, Any]

FILES, CHUNKS = "attachments.files", "attachments.chunks"
GRIDFS_TABLES = {"attachments_files": FILES, "attachments_chunks": CHUNKS}
INTERNAL_TABLES = re.compile(r"sqlite_|_?neosqlite_")
DATE_FIELDS = frozenset(
    [
        *("createdAt", "joinedAt", "storedAt", "editedAt", "deletedAt", "leftAt", "archivedAt", "lastSeenAt"),
        *("until", "at", "uploadDate"),
    ]
)

# A server on a newer SQLite stored SQLite's binary JSON, which `json` makes text of.
_DOCUMENTS = """
SELECT CASE typeof(data) WHEN 'blob' THEN json(data) ELSE data END FROM "{table}" ORDER BY id
"""
_FILES = "SELECT _id, length, chunkSize, uploadDate FROM attachments_files ORDER BY id"
# A chunk names its file by the number of the file's row. Bytes of an unfinished upload have no such row.
_CHUNKS = """
SELECT files._id, chunks.n, chunks.data FROM attachments_chunks AS chunks
JOIN attachments_files AS files ON files.id = chunks.files_id ORDER BY chunks.id
"""


class SqliteDocuments:
    """The documents of a database file, which is not changed."""

    def __init__(self, file: Path) -> None:
        # Not read-only: after a crash SQLite must first bring the file and its log (-wal) together.
        self._connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)

    def close(self) -> None:
        self._connection.close()

    def collections(self) -> list[str]:
        """Return the names of the collections, as MongoDB has them."""
        tables = self._select("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return [GRIDFS_TABLES.get(name, name) for (name,) in tables if not INTERNAL_TABLES.match(name)]

    def documents(self, collection: str) -> Iterator[Document]:
        """Yield the documents of a collection, in the order of their insertion."""
        if collection == FILES:
            return map(_file, self._select(_FILES))
        if collection == CHUNKS:
            return map(_chunk, self._select(_CHUNKS))
        return (read_document(row[0]) for row in self._select(_DOCUMENTS.format(table=collection)))

    def _select(self, query: str) -> Iterator[tuple[Any, ...]]:
        with closing(self._connection.execute(query)) as rows:
            yield from rows


def read_document(text: str) -> Document:
    """Return the document that a text holds, with values of MongoDB's types.

    Raises:
        ValueError: The text holds no document.
    """
    document = json.loads(text, object_hook=_converted)
    if not isinstance(document, dict):
        raise ValueError(f"not a document: {text[:100]}")
    return document


def _converted(fields: Document) -> Any:
    """Return the value that a JSON object stands for: most stand for themselves."""
    if "__neosqlite_objectid__" in fields:
        return ObjectId(fields["id"])
    if "__neosqlite_binary__" in fields:
        return Binary(base64.b64decode(fields["data"]), fields.get("subtype", 0))
    if fields.keys() == {"$date"}:
        return _date(fields["$date"])
    return {name: _dated(name, value) for name, value in fields.items()}


def _dated(name: str, value: Any) -> Any:
    return _date(value) if name in DATE_FIELDS and isinstance(value, str) else value


def _date(value: str | float) -> datetime:
    if not isinstance(value, str):
        return datetime.fromtimestamp(value / 1000, UTC)
    date = datetime.fromisoformat(value)
    return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)


def _file(row: tuple[Any, ...]) -> Document:
    file_id, length, chunk_size, uploaded = row
    return {"_id": file_id, "length": length, "chunkSize": chunk_size, "uploadDate": _date(uploaded)}


def _chunk(row: tuple[Any, ...]) -> Document:
    # An id that a repetition gives again: the chunk is then found to be stored already.
    file_id, number, data = row
    return {"_id": f"{file_id}:{number}", "files_id": file_id, "n": number, "data": Binary(data)}
