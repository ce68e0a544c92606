"""Summaries of the members of conversations that lists and events show."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from parley.gateway.core.ports import Memberships, People
from parley.shared.model import Member, Membership

COUNTED_AT_ONCE = 4
"""Conversations of a page whose members are counted at the same time."""


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
        slots = asyncio.Semaphore(COUNTED_AT_ONCE)
        members = await self._memberships.first_of(own, limit)

        async def count(conversation_id: str) -> int:
            first = members[conversation_id]
            if len(first) < limit:
                return len(first)
            async with slots:
                return await self._memberships.count(conversation_id)

        totals = dict(zip(own, await asyncio.gather(*map(count, own)), strict=True))
        for conversation_id, membership in own.items():
            _show_own(members[conversation_id], membership, limit)
        people = await self._people.get({m.user_id for first in members.values() for m in first})
        return {
            conversation_id: MemberSummary(
                tuple(Member(person=people[m.user_id], role=m.role) for m in first), totals[conversation_id]
            )
            for conversation_id, first in members.items()
        }


def _show_own(first: list[Membership], own: Membership | None, limit: int) -> None:
    """Have the user who asks among the members that are shown."""
    if len(first) == limit and own is not None and all(m.user_id != own.user_id for m in first):
        first[-1] = own
