"""A database that has indexes alone, and refuses what MongoDB refuses of them."""

from collections import defaultdict
from typing import Any

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError, OperationFailure

Index = dict[str, Any]


class MemoryCollection:
    """One collection: its indexes, and documents that are inserted and found."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents: dict[str, dict[str, Any]] = {}
        self._indexes: dict[str, Index] = {}

    async def index_information(self) -> dict[str, Index]:
        return {name: dict(index) for name, index in self._indexes.items()}

    async def create_indexes(self, indexes: list[IndexModel]) -> None:
        for model in indexes:
            index = {**model.document, "key": list(model.document["key"].items())}
            name = index.pop("name")
            if self._indexes.get(name, index) != index:
                raise OperationFailure("another index has this name", 86)
            if any(_conflict(index, other) for n, other in self._indexes.items() if n != name):
                raise OperationFailure("an equivalent index has another name or other options", 85)
            values = [tuple(d.get(key) for key, _ in index["key"]) for d in self.documents.values()]
            if index.get("unique") and len(set(values)) < len(values):
                raise DuplicateKeyError("documents have equal values", 11000)
            self._indexes[name] = index

    async def drop_index(self, name: str) -> None:
        if self._indexes.pop(name, None) is None:
            raise OperationFailure("there is no such index", 27)

    async def insert_many(self, documents: list[dict[str, Any]]) -> None:
        self.documents.update((document["_id"], document) for document in documents)

    async def update_one(
        self, query: dict[str, Any], update: dict[str, Any], *, upsert: bool = False
    ) -> None:
        if upsert:
            self.documents.setdefault(query["_id"], {**query, **update.get("$setOnInsert", {})})
        if query["_id"] in self.documents:
            self.documents[query["_id"]].update(update.get("$set", {}))

    async def find_one(self, query: dict[str, Any]) -> dict[str, Any] | None:
        return self.documents.get(query["_id"])


class MemoryDatabase(defaultdict[str, MemoryCollection]):
    """Collections that are there when they are named."""

    def __missing__(self, name: str) -> MemoryCollection:
        self[name] = MemoryCollection(name)
        return self[name]


def _conflict(index: Index, other: Index) -> bool:
    """Whether MongoDB takes two indexes for one: it tells them apart by these fields."""
    same = ("key", "unique", "sparse", "partialFilterExpression")
    return all(index.get(field) == other.get(field) for field in same)
