"""Requests of the contracts guide: their schemas, and the commands that they become."""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, ValidationError, fields, validate

from parley.gateway.core import commands as c
from parley.gateway.protocols.fields import BoundedList, Id, InboundSchema, NumericId, ServerId
from parley.gateway.protocols.protocol import Payload
from parley.gateway.protocols.standard_events import MAX_PAGES, ConversationRef, SendOptions
from parley.shared.model import MAX_ATTACHMENTS, MAX_MILESTONES, MAX_PAGE, MEMBERS_SHOWN


class Identified(InboundSchema):
    """An object with an id; its other fields are ignored, the server has them."""

    class Meta:
        unknown = INCLUDE

    id = Id(required=True)


class FileRef(ServerId):
    """The id of an upload, or an object with one."""

    also = fields.Nested(Identified)
    """The second accepted type, for the generated API documents."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, Mapping):
            value = value.get("id")
            if value is None:
                raise ValidationError("An object needs the `id` of a file that POST /attachments has stored.")
        return super()._deserialize(value, attr, data, **kwargs)


class Milestone(InboundSchema):
    """A milestone with its id; its other fields are ignored."""

    class Meta:
        unknown = INCLUDE

    id = NumericId(required=True)


class MilestoneDocument(InboundSchema):
    """A milestone whose id has the name that MongoDB gives it; its other fields are ignored."""

    class Meta:
        unknown = INCLUDE

    id = NumericId(required=True, data_key="_id")


class MilestoneId(NumericId):
    """A milestone's id, or the milestone with an `id` or an `_id`."""

    also = (NumericId.also, fields.Nested(Milestone), fields.Nested(MilestoneDocument))
    """The other accepted types, for the generated API documents."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, Mapping):
            value = value.get("_id") if value.get("id") in (None, "") else value["id"]
            if value is None:
                raise ValidationError("An object needs an `id` or an `_id`.")
        return super()._deserialize(value, attr, data, **kwargs)


class ContentDto(SendOptions):
    """A message's content; attachments are ids of uploads, or objects with one."""

    content = fields.String(load_default="")
    type = fields.String(
        data_key="messageType", load_default="text", validate=validate.OneOf(["text", "file", "system"])
    )
    attachments = BoundedList(FileRef(), most=MAX_ATTACHMENTS, load_default=list)


class SendMessageDto(ContentDto, ConversationRef):
    """A message for an existing conversation."""


class CreateMessageDto(ContentDto):
    """A message to the other party of a contract or of one of its milestones."""

    contract_id = NumericId(required=True, data_key="contractId")
    milestone_id = NumericId(data_key="milestoneId")


class ContractDto(InboundSchema):
    """A contract: its two parties, and its milestones, which are ids or objects with one."""

    contract_id = Id(required=True, data_key="id")
    client_id = NumericId(required=True, data_key="clientId")
    freelancer_id = NumericId(required=True, data_key="freelancerId")
    milestones = BoundedList(MilestoneId(), most=MAX_MILESTONES, load_default=list)
    share_history = fields.Boolean(data_key="shareHistory", load_default=False, truthy={True}, falsy={False})


class ConversationsDto(InboundSchema):
    """A page of the list of conversations; archived ones only with `includeArchived=true`."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    contract_id = Id(data_key="contractId")
    archived = fields.Boolean(
        data_key="includeArchived", load_default=False, truthy={"true"}, falsy={"false"}
    )


class MessagesDto(ConversationRef):
    """A page of messages, newest page first; with `before`, a message's id, older ones only."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before_id = ServerId(data_key="before")


class ArchiveDto(ConversationRef):
    """Whether to archive a conversation or to take it out of the archive."""

    archived = fields.Boolean(load_default=True, truthy={True}, falsy={False})


def put_command(p: Payload) -> c.PutContract:
    """Return the command that stores a contract."""
    return c.PutContract(**{**p, "milestones": tuple(p["milestones"])})


def get_command(p: Payload) -> c.GetConversation:
    """Return the command that reads a contract's conversation."""
    return c.GetConversation(conversation_id=p["conversation_id"], shown=MEMBERS_SHOWN)
