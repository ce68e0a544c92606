"""Contracts in MongoDB."""

from collections.abc import Collection
from typing import Any

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.shared.documents import CONTRACTS, from_document, to_document
from parley.shared.model import Contract


class MongoContracts:
    """`Contracts`."""

    def __init__(self, database: Any) -> None:
        self._contracts = database[CONTRACTS]

    async def get(self, contract_ids: Collection[str]) -> dict[str, Contract]:
        with translate_errors():
            documents = await self._contracts.find({"_id": {"$in": list(contract_ids)}}).to_list(None)
        return {d["_id"]: from_document(Contract, d) for d in documents}

    async def put(self, contract: Contract) -> None:
        document = to_document(contract)
        with translate_errors():
            await self._contracts.update_one({"_id": document.pop("_id")}, {"$set": document}, upsert=True)
