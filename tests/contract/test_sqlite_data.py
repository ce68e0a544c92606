"""Data of version 0.2.0, which the stack kept in SQLite files, is copied to MongoDB once and completely."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gridfs
import pytest
from pymongo import MongoClient

from parley.stack import Stack, StackError
from parley.stack.data_migration import copy_waiting_data, migrate, set_aside, waiting_folder

GOLDEN = Path(__file__).parents[1] / "golden" / "0.2.0.sql"
"""A conversation with an edited and a deleted message, a file and read marks, as version 0.2.0 stored it."""
COUNTS = {"conversations": 1, "memberships": 2, "messages": 8, "users": 2, "attachments": 1}
COUNTS |= {"attachment_uses": 1, "attachments.files": 1, "attachments.chunks": 1}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of the former server."""
    directory = tmp_path / "mongodb"
    directory.mkdir()
    with closing(sqlite3.connect(directory / "parley.db")) as file:
        file.executescript(GOLDEN.read_text())
    return directory


@pytest.fixture
def empty(stack: Stack) -> Iterator[Any]:
    """An empty database of this test."""
    with MongoClient[dict[str, Any]](stack.mongo_url, tz_aware=True) as client:
        name = f"copied_{uuid.uuid4().hex}"
        yield client[name]
        client.drop_database(name)


def counts(database: Any) -> dict[str, int]:
    return {name: database[name].count_documents({}) for name in database.list_collection_names()}


def test_all_documents_are_copied_with_their_types(directory: Path, empty: Any) -> None:
    migrate(directory / "parley.db", empty, print)

    assert counts(empty) == {**COUNTS, "migrations": 1}
    messages = list(empty.messages.find(sort=[("seq", 1)]))
    assert [message["seq"] for message in messages] == list(range(1, 9))
    assert all(message["createdAt"].tzinfo for message in messages)
    assert datetime(2026, 1, 1, tzinfo=UTC) < messages[0]["storedAt"] < datetime(2027, 1, 1, tzinfo=UTC)
    assert messages[3]["content"] == "edited"
    assert isinstance(messages[3]["editedAt"], datetime)
    assert isinstance(messages[4]["deletedAt"], datetime)


def test_files_are_read_back_from_gridfs(directory: Path, empty: Any) -> None:
    migrate(directory / "parley.db", empty, print)

    (file,) = gridfs.GridFSBucket(empty, "attachments").find({})
    assert file.read() == b"plain text " * 20


def test_an_interrupted_copy_is_completed(directory: Path, empty: Any) -> None:
    migrate(directory / "parley.db", empty, print)
    empty.migrations.drop()
    empty.messages.delete_many({"seq": {"$gt": 3}})

    migrate(directory / "parley.db", empty, print)

    assert counts(empty) == {**COUNTS, "migrations": 1}


def test_a_finished_copy_is_not_repeated(directory: Path, empty: Any) -> None:
    migrate(directory / "parley.db", empty, print)
    empty.messages.delete_many({})

    migrate(directory / "parley.db", empty, print)

    assert empty.messages.count_documents({}) == 0


def test_the_files_are_set_aside_once_and_kept(directory: Path) -> None:
    set_aside(directory)
    set_aside(directory)

    assert list(directory.iterdir()) == []
    assert (waiting_folder(directory) / "parley.db").exists()


def test_files_that_cannot_be_copied_are_kept_and_reported_in_one_sentence(
    directory: Path, stack: Stack
) -> None:
    (directory / "parley.db").write_bytes(b"not a database " * 100)
    set_aside(directory)
    address = stack.mongo_url.removeprefix("mongodb://").partition("/")[0]

    with pytest.raises(StackError, match=r"^The data of version 0\.2\.0 or older in .* could not be copied"):
        copy_waiting_data(directory, address, print)

    assert (waiting_folder(directory) / "parley.db").read_bytes() == b"not a database " * 100
