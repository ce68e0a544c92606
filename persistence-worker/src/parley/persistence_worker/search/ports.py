"""Ports: the indexer's interfaces to the database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from parley.shared.model import Message
from parley.shared.search_index import Mark


class Progress(Struct, frozen=True):
    """The revision of a conversation's head, and how far the conversation is indexed."""

    rev: int
    mark: Mark

    @property
    def missing(self) -> int:
        """The number of revisions that are not indexed."""
        return max(0, self.rev - self.mark.rev)


class SearchIndex(Protocol):
    """The index, and the messages that it is made of. Every method may raise `StoreUnavailable`."""

    async def begin_anew(self) -> None:
        """Begin the index anew: nothing of it is used any more, and no conversation is indexed."""

    async def behind(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` conversations that are not indexed up to their heads, by id, above an id."""

    async def progress(self, conversation_ids: Collection[str]) -> dict[str, Progress]:
        """Return the progress of the conversations that exist."""

    async def changes(self, spans: Mapping[str, tuple[int, int]]) -> list[Message]:
        """Return the messages whose revision is above the first and up to the second one of a span.

        Args:
            spans: Pairs of revisions, by conversation.
        """

    async def add(self, messages: Sequence[Message], marks: Mapping[str, Mark]) -> None:
        """Add messages to the index, and then mark their conversations as indexed.

        A repetition changes nothing, and a mark is never moved back.

        Args:
            messages: All messages between the present marks and the new ones.
            marks: The new marks, by conversation.
        """
