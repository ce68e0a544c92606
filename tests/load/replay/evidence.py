"""The evidence of a replay: stored documents from MongoDB, unread counts and history by REST."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import aiohttp
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from load.replay.proof import Stored

PAGE = 100
AT_ONCE = 10
MONGO_TIMEOUT = 5_000
"""Milliseconds in which MongoDB must answer."""


class Unreachable(Exception):
    """A server that the proof needs does not answer; the text names it."""


class Archive:
    """A conversation in MongoDB, read without the gateways."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            url, serverSelectionTimeoutMS=MONGO_TIMEOUT
        )
        self._database = self._client.get_default_database("parley")

    async def __aenter__(self) -> "Archive":
        try:
            await self._client.admin.command("ping")
        except PyMongoError as error:
            await self._client.close()
            raise Unreachable(f"No MongoDB answers at {self._url}.") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def messages(self, conversation_id: str) -> list[Stored]:
        """Return all messages of the conversation in the order of their numbers."""
        found = self._database["messages"].find({"conversationId": conversation_id}).sort("seq", 1)
        return [
            Stored(m["seq"], m["_id"], m["senderId"], m["content"], m.get("clientMessageId"))
            async for m in found
        ]

    async def unread_counts(self, conversation_id: str) -> dict[str, tuple[int, int]]:
        """Return each user's read mark, and the unread count by the stored counters."""
        head = await self._database["conversations"].find_one({"_id": conversation_id})
        last = head["lastSeq"] if head else 0
        kept = {}
        async for member in self._database["memberships"].find({"conversationId": conversation_id}):
            mark = max(member["readSeq"], member["joinSeq"])
            kept[member["userId"]] = (mark, last - mark - member["ownSinceRead"])
        return kept


class Rest:
    """The REST API, used by any one user."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def get(self, path: str, token: str, **query: Any) -> dict[str, Any]:
        """Return the response's JSON; raises aiohttp.ClientError if there is none."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.get(self._url + path, headers=headers, params=query) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer

    async def add_participants(self, conversation_id: str, user_ids: Sequence[str], token: str) -> None:
        """Add users to a conversation; raises aiohttp.ClientError if that is refused."""
        headers = {"Authorization": f"Bearer {token}"}
        path = f"{self._url}/chats/conversations/{conversation_id}/participants"
        body = {"participants": list(user_ids)}
        async with self._session.post(path, headers=headers, json=body) as response:
            response.raise_for_status()

    async def unread(self, conversation_id: str, token: str) -> int | None:
        """Return the conversation's unread count in a user's list; None if the list does not contain it."""
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            page = await self.get("/chats/conversations", token, **query)
            for conversation in page["conversations"]:
                if conversation["_id"] == conversation_id:
                    return int(conversation["unreadCount"])
            if page["nextCursor"] is None:
                return None
            query["before"] = page["nextCursor"]

    async def all_unread(self, conversation_id: str, tokens: dict[str, str]) -> dict[str, int | None]:
        """Return the unread count that REST reports, by user id; `tokens` has a token of each user."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(token: str) -> int | None:
            async with gate:
                return await self.unread(conversation_id, token)

        counts = await asyncio.gather(*map(one, tokens.values()))
        return dict(zip(tokens, counts, strict=True))

    async def history_upwards(self, conversation_id: str, token: str) -> list[Stored]:
        """Return the whole history, paged from its beginning with `after`."""
        return await self._history(conversation_id, token, "after", 0)

    async def history_downwards(self, conversation_id: str, token: str) -> list[Stored]:
        """Return the whole history, paged from its end with `before`, in the order of the numbers."""
        return sorted(
            await self._history(conversation_id, token, "before", None), key=lambda message: message.seq
        )

    async def _history(self, conversation_id: str, token: str, word: str, cursor: Any) -> list[Stored]:
        found: list[Stored] = []
        path = f"/chats/conversations/{conversation_id}/messages"
        while True:
            query = {} if cursor is None else {word: cursor}
            page = await self.get(path, token, limit=PAGE, **query)
            found += [Stored(m["seq"], m["_id"], m["sender"]["_id"], m["content"]) for m in page["messages"]]
            cursor = page["nextCursor"]
            if cursor is None:
                return found
