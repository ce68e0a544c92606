"""Summaries of the members of conversations that lists and events show."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from parley.gateway.core.ports import Memberships, People
from parley.shared.model import Member, Membership

CONCURRENT_READS = 4
"""Conversations of a page whose members are read at the same time."""


@dataclass(frozen=True, slots=True)
class MemberSummary:
    """The members of a conversation that are shown, and the number of all."""

    members: tuple[Member, ...]
    total: int


class MemberSummaries:
    """Reads the first members of conversations, by the time of joining."""

    def __init__(self, memberships: Memberships, people: People) -> None:
        self._memberships = memberships
        self._people = people

    async def of(self, own: Mapping[str, Membership | None], limit: int) -> dict[str, MemberSummary]:
        """Return the summaries of conversations by id.

        Args:
            own: The conversations by id, with the membership of the user who asks: it is always shown.
            limit: The number of members that are shown, at most.
        """
        slots = asyncio.Semaphore(CONCURRENT_READS)

        async def read(conversation_id: str) -> tuple[list[Membership], int]:
            async with slots:
                return await self._first(conversation_id, own[conversation_id], limit)

        found = dict(zip(own, await asyncio.gather(*map(read, own)), strict=True))
        people = await self._people.get({m.user_id for first, _ in found.values() for m in first})
        return {
            conversation_id: MemberSummary(
                tuple(Member(person=people[m.user_id], role=m.role) for m in first), total
            )
            for conversation_id, (first, total) in found.items()
        }

    async def _first(
        self, conversation_id: str, own: Membership | None, limit: int
    ) -> tuple[list[Membership], int]:
        first = await self._memberships.of_conversation(conversation_id, limit)
        if len(first) < limit:
            return first, len(first)
        if own is not None and all(m.user_id != own.user_id for m in first):
            first[-1] = own
        return first, await self._memberships.count(conversation_id)
