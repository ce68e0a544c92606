"""Requests of the groups guide: their schemas, and the commands that they become."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.core.positions import Revision
from parley.gateway.protocols.fields import (
    BoundedDict,
    BoundedList,
    Count,
    Id,
    InboundSchema,
    NumericId,
    ServerId,
    Uuid,
    check_length,
)
from parley.gateway.protocols.protocol import Payload
from parley.gateway.protocols.standard_events import ConversationRef, SendOptions
from parley.shared.model import MAX_PAGE, MAX_PARTICIPANTS, MAX_SYNCED, MAX_TITLE


class SendMessageDto(SendOptions, ConversationRef):
    """A message to send; one of type `file` names uploads by their ids."""

    content = fields.String(load_default="")
    type = fields.String(load_default="text", validate=validate.OneOf(["text", "file", "system"]))
    temp_id = Id(data_key="tempId")
    reply_to = ServerId(data_key="replyTo")


class MarkAsDeliveredDto(ConversationRef):
    """The number up to which a device has received messages."""

    seq = Count(required=True, least=1)


class Participants(InboundSchema):
    """Users; `participantIds` is an alias of `participants`."""

    participants = BoundedList(NumericId(), most=MAX_PARTICIPANTS)
    participant_ids = BoundedList(NumericId(), most=MAX_PARTICIPANTS, data_key="participantIds")

    @validates_schema
    def _require_one_list(self, data: Payload, **_: Any) -> None:
        if "participants" in data and "participant_ids" in data:
            raise ValidationError("An alias of participants: give one of them.", "participantIds")


class CreateConversationDto(Participants):
    """A conversation to create; `participantIds` is an alias of `participants`."""

    kind = fields.String(data_key="type", load_default="direct", validate=validate.OneOf(["direct", "group"]))
    title = fields.String(data_key="name", load_default="", validate=validate.Length(max=MAX_TITLE))
    client_conversation_id = Uuid(data_key="clientConversationId", allow_none=True, load_default=None)


class AddParticipantsDto(Participants, ConversationRef):
    """Users to add to a group; `participantIds` is an alias of `participants`."""


class RemoveParticipantDto(ConversationRef):
    """A user to remove from a group."""

    user_id = NumericId(required=True, data_key="userId")


class RevisionDto(InboundSchema):
    """A revision and its epoch, as they stood in the message, answer or event that was received last."""

    rev = Count(required=True)
    epoch = Count()


class HeldRevision(Count):
    """A revision, with its epoch or without."""

    also = fields.Nested(RevisionDto)
    """The second accepted type, for the generated API documents."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, dict):
            check_length(value, len(self.also.schema.fields))
            held = self.also.deserialize(value, attr, data)
            return Revision(held["rev"], held.get("epoch"))
        return super()._deserialize(value, attr, data, **kwargs)

    def _validate(self, value: Any) -> None:
        if not isinstance(value, Revision):
            super()._validate(value)


class SyncDto(InboundSchema):
    """The newest revision that the client has of each conversation."""

    conversations = BoundedDict(keys=ServerId(), values=HeldRevision(), most=MAX_SYNCED, required=True)


class PageDto(InboundSchema):
    """A page of the list of conversations."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    before = fields.String(validate=validate.Length(1, 200))
    after = fields.String(validate=validate.Length(1, 200))


class MessagesDto(ConversationRef):
    """A page of a conversation's messages."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before = fields.Integer(validate=validate.Range(0, 2**53))
    after = fields.Integer(validate=validate.Range(0, 2**53))


class ParticipantsDto(ConversationRef):
    """A page of a conversation's participants."""

    limit = fields.Integer(load_default=MAX_PAGE, validate=validate.Range(1, MAX_PAGE))
    after = fields.String(validate=validate.Length(1, 200))


class ReceiptsDto(ConversationRef):
    """A page of the participants' marks."""

    limit = fields.Integer(
        load_default=MAX_PARTICIPANTS + 1, validate=validate.Range(1, MAX_PARTICIPANTS + 1)
    )
    after = fields.String(validate=validate.Length(1, 200))


class SearchDto(InboundSchema):
    """Words to search for, in one conversation or in all of the user's."""

    text = fields.String(required=True, data_key="q")
    conversation_id = ServerId(data_key="conversationId")
    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    before = fields.String(validate=validate.Length(1, 200))


def create_command(p: Payload) -> c.CreateConversation:
    """Return the command that creates a conversation."""
    return c.CreateConversation(
        kind=p["kind"],
        participants=_participants(p),
        title=p["title"],
        client_conversation_id=p["client_conversation_id"],
    )


def add_command(p: Payload) -> c.AddParticipants:
    """Return the command that adds members."""
    return c.AddParticipants(conversation_id=p["conversation_id"], participants=_participants(p))


def _participants(p: Payload) -> tuple[str, ...]:
    return tuple(p.get("participants") or p.get("participant_ids") or ())


def sync_command(p: Payload) -> c.Sync:
    """Return the command that reads the changes since the revisions that a client holds."""
    held = p["conversations"].items()
    return c.Sync(
        revs={each: rev if isinstance(rev, Revision) else Revision(rev, None) for each, rev in held}
    )


# Outbound.
