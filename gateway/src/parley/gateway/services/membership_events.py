"""Membership events: members and former members learn that a conversation's members have changed."""

from collections.abc import Sequence
from datetime import datetime

from parley.gateway.core.ports import EventPublisher, People
from parley.gateway.services.member_summaries import MemberSummaries
from parley.shared import rooms
from parley.shared.events import ConversationCreated, MemberRemoved, MembersAdded
from parley.shared.model import MEMBERS_SHOWN, NAMED_AT_ONCE, Conversation, now


class MembershipEvents:
    """Publishes changes of members to all gateways."""

    def __init__(self, event_publisher: EventPublisher, summaries: MemberSummaries, people: People) -> None:
        self._event_publisher = event_publisher
        self._summaries = summaries
        self._people = people

    async def created(self, conversation: Conversation, user_ids: Sequence[str], by: str) -> None:
        """Publish to users that they are members of a conversation now."""
        summary = (await self._summaries.of({conversation.id: None}, MEMBERS_SHOWN))[conversation.id]
        event = ConversationCreated(
            conversation=conversation, members=summary.members, member_count=summary.total, by=by
        )
        await self._event_publisher.publish_events({rooms.user(user_id): [event] for user_id in user_ids})

    async def added(self, conversation_id: str, user_ids: Sequence[str], by: str, at: datetime) -> None:
        """Publish who was added, in parts: a frame with a thousand people would delay all others."""
        people = await self._people.get(user_ids)
        for start in range(0, len(user_ids), NAMED_AT_ONCE):
            part = tuple(people[user_id] for user_id in user_ids[start : start + NAMED_AT_ONCE])
            event = MembersAdded(conversation_id=conversation_id, people=part, by=by, at=at)
            await self._event_publisher.publish_events({rooms.conversation(conversation_id): [event]})

    async def removed(self, conversation_id: str, user_id: str, by: str, new_owner: str | None) -> None:
        """Publish to a conversation that a user is no member any more."""
        event = MemberRemoved(
            conversation_id=conversation_id, user_id=user_id, by=by, new_owner=new_owner, at=now()
        )
        await self._event_publisher.publish_events({rooms.conversation(conversation_id): [event]})
