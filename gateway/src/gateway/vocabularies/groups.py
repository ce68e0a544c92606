"""The groups guide's words, which are home: namespace `/chat`, paths below `/chats`."""

from collections.abc import Callable, Iterable
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from gateway.core import commands as c
from gateway.core.errors import ChatError
from gateway.core.results import Changes, ConversationView, Joined, MessageView, Page
from gateway.vocabularies.fields import Count, Id, iso
from gateway.vocabularies.vocabulary import (
    Admitted,
    Arrived,
    Hears,
    Payload,
    Saying,
    Serves,
    UnreadChanged,
    Vocabulary,
)
from shared import events as e
from shared import rooms
from shared.model import MAX_PAGE, MAX_TITLE, Digest, Member, Person


class Nothing(Schema):
    """No payload, or an empty object."""


class OfConversation(Schema):
    """A conversation by its id."""

    conversation_id = Id(required=True, data_key="conversationId")


class OfMessage(Schema):
    """A message by its id; its conversation may be named too."""

    message_id = Id(required=True, data_key="messageId")
    conversation_id = Id(data_key="conversationId")


class SendMessageDto(OfConversation):
    """A message to send."""

    content = fields.String(required=True)
    type = fields.String(load_default="text", validate=validate.OneOf(["text"]))
    temp_id = Id(data_key="tempId", allow_none=True)
    client_message_id = fields.UUID(data_key="clientMessageId", allow_none=True)
    reply_to = Id(data_key="replyTo", allow_none=True)


class EditMessageDto(OfMessage):
    """Other content for a message."""

    content = fields.String(required=True)


class MarkAsDeliveredDto(OfConversation):
    """How far a device has received."""

    seq = Count(required=True, least=1)


class CreateConversationDto(Schema):
    """A conversation to start; `participantIds` is another name for `participants`."""

    participants = fields.List(Id())
    participant_ids = fields.List(Id(), data_key="participantIds")
    kind = fields.String(data_key="type", load_default="direct", validate=validate.OneOf(["direct", "group"]))
    title = fields.String(data_key="name", load_default="", validate=validate.Length(max=MAX_TITLE))

    @validates_schema
    def _one_list(self, data: Payload, **_: Any) -> None:
        if "participants" in data and "participant_ids" in data:
            raise ValidationError("It is another name for participants: give one.", "participantIds")


class AddParticipantsDto(OfConversation):
    """People to bring into a group."""

    participants = fields.List(Id(), required=True)


class RemoveParticipantDto(OfConversation):
    """Someone to put out of a group."""

    user_id = Id(required=True, data_key="userId")


class SyncDto(Schema):
    """The revision that the client holds of each conversation."""

    conversations = fields.Dict(keys=Id(), values=Count(), required=True)


class PageDto(Schema):
    """A page of the list of conversations."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    before = fields.String(validate=validate.Length(1, 200))
    after = fields.String(validate=validate.Length(1, 200))


class MessagesDto(OfConversation):
    """A page of a conversation."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before = fields.Integer(validate=validate.Range(0, 2**53))
    after = fields.Integer(validate=validate.Range(0, 2**53))


def person(p: Person) -> Payload:
    """A sender or participant."""
    return {"_id": p.id, "name": p.name, "username": p.username}


def member(m: Member) -> Payload:
    """A participant with their role."""
    return {**person(m.person), "role": m.role}


def message(view: MessageView) -> Payload:
    """A message; `seq` and `rev` are missing until it is stored."""
    m = view.message
    shown = {
        "_id": m.id,
        "conversationId": m.conversation_id,
        "sender": person(view.sender),
        "content": m.content,
        "type": m.type,
        "status": view.status,
        "createdAt": iso(m.created_at),
        "seq": m.seq or None,
        "rev": m.rev or None,
        "clientMessageId": m.client_message_id,
        "tempId": m.temp_id,
        "replyTo": m.reply_to,
        "editedAt": iso(m.edited_at),
        "deletedAt": iso(m.deleted_at),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _last_message(d: Digest | None) -> Payload | None:
    if d is None:
        return None
    return {
        "_id": d.id,
        "seq": d.seq,
        "senderId": d.sender_id,
        "content": d.content,
        "type": d.type,
        "createdAt": iso(d.created_at),
    }


def conversation(view: ConversationView) -> Payload:
    """A conversation as its reader sees it."""
    it = view.conversation
    return {
        "_id": it.id,
        "type": it.kind,
        "name": it.title,
        "participants": [member(m) for m in view.members],
        "createdBy": it.created_by,
        "createdAt": iso(it.created_at),
        "lastActivityAt": iso(it.last_activity_at),
        "lastMessage": _last_message(it.last_message),
        "lastSeq": it.last_seq,
        "rev": it.rev,
        "unreadCount": view.unread,
    }


def ok(_result: Any, _asker: Person) -> Payload:
    """Done; there is nothing to show."""
    return {"success": True}


def _ok_message(view: MessageView, _asker: Person) -> Payload:
    return {"success": True, "message": message(view)}


def _ok_conversation(view: ConversationView, _asker: Person) -> Payload:
    return {"success": True, "conversation": conversation(view)}


def _joined(joined: Joined, _asker: Person) -> Payload:
    return {
        "success": True,
        "conversationId": joined.conversation_id,
        "seq": joined.seq,
        "rev": joined.rev,
    }


def _online(users: list[str], _asker: Person) -> Payload:
    return {"success": True, "users": users}


def _changes(found: list[Changes], _asker: Person) -> Payload:
    return {"success": True, "conversations": {each.conversation_id: _change(each) for each in found}}


def _change(each: Changes) -> Payload:
    if each.too_far:
        return {"tooFar": True, "rev": each.rev}
    return {"rev": each.rev, "messages": [message(view) for view in each.messages]}


def _create(p: Payload) -> c.CreateConversation:
    named = p.get("participants") or p.get("participant_ids") or []
    return c.CreateConversation(kind=p["kind"], participants=tuple(named), title=p["title"])


def _send(p: Payload) -> c.SendMessage:
    named = p.pop("client_message_id", None)
    return c.SendMessage(**p, client_message_id=str(named) if named else None)


def _add(p: Payload) -> c.AddParticipants:
    return c.AddParticipants(conversation_id=p["conversation_id"], participants=tuple(p["participants"]))


HEARS = {
    "createConversation": Hears(CreateConversationDto(), _create, _ok_conversation),
    "joinRoom": Hears(OfConversation(), lambda p: c.JoinRoom(**p), _joined),
    "leaveRoom": Hears(OfConversation(), lambda p: c.LeaveRoom(**p), ok),
    "sendMessage": Hears(SendMessageDto(), _send, _ok_message),
    "editMessage": Hears(EditMessageDto(), lambda p: c.EditMessage(**p), ok),
    "deleteMessage": Hears(OfMessage(), lambda p: c.DeleteMessage(**p), ok),
    "typing": Hears(OfConversation(), lambda p: c.SetTyping(**p, typing=True), ok),
    "stopTyping": Hears(OfConversation(), lambda p: c.SetTyping(**p, typing=False), ok),
    "markAsRead": Hears(OfMessage(), lambda p: c.MarkRead(**p), ok),
    "markConversationAsRead": Hears(OfConversation(), lambda p: c.MarkConversationRead(**p), ok),
    "markAsDelivered": Hears(MarkAsDeliveredDto(), lambda p: c.MarkDelivered(**p), ok),
    "getOnlineUsers": Hears(Nothing(), lambda _: c.ListOnline(), _online, echoes="onlineUsers"),
    "sync": Hears(SyncDto(), lambda p: c.Sync(revs=p["conversations"]), _changes),
}


def _new_message(event: e.MessageStored) -> Iterable[Saying]:
    m = event.message
    view = message(MessageView(m, event.sender))
    yield Saying(
        "newMessage", {"message": view, "conversationId": m.conversation_id}, rooms.joined(m.conversation_id)
    )
    yield _sent(event)


def _sent(event: e.MessageStored | e.MessageRepeated) -> Saying:
    m = event.message
    payload = {
        "tempId": m.temp_id,
        "messageId": m.id,
        "conversationId": m.conversation_id,
        "clientMessageId": m.client_message_id,
        "seq": m.seq,
        "rev": m.rev,
    }
    return Saying("messageSent", payload, rooms.user(m.sender_id))


def _repeated(event: e.MessageRepeated) -> Iterable[Saying]:
    yield _sent(event)


def _edited(event: e.MessageEdited) -> Iterable[Saying]:
    m = event.message
    view = message(MessageView(m, event.sender))
    yield Saying(
        "messageUpdated",
        {"message": view, "conversationId": m.conversation_id},
        rooms.joined(m.conversation_id),
    )


def _deleted(event: e.MessageDeleted) -> Iterable[Saying]:
    m = event.message
    payload = {
        "messageId": m.id,
        "conversationId": m.conversation_id,
        "seq": m.seq,
        "rev": m.rev,
        "deletedAt": iso(m.deleted_at),
    }
    yield Saying("messageDeleted", payload, rooms.joined(m.conversation_id))


def _read(event: e.ConversationRead) -> Iterable[Saying]:
    common = {
        "conversationId": event.conversation_id,
        "readBy": event.user_id,
        "readAt": iso(event.at),
        "seq": event.seq,
    }
    room = rooms.joined(event.conversation_id)
    if event.message_id is None:
        yield Saying("conversationRead", common, room)
    else:
        yield Saying("messageRead", {"messageId": event.message_id, **common}, room)


def _delivered(event: e.ConversationDelivered) -> Iterable[Saying]:
    payload = {
        "conversationId": event.conversation_id,
        "deliveredTo": event.user_id,
        "deliveredAt": iso(event.at),
        "seq": event.seq,
    }
    yield Saying("messageDelivered", payload, rooms.joined(event.conversation_id))


def _refused(event: e.RecordRefused) -> Iterable[Saying]:
    payload = {
        "conversationId": event.conversation_id,
        "messageId": event.message_id,
        "clientMessageId": event.client_message_id,
        "tempId": event.temp_id,
        "error": {"code": event.code, "message": event.reason, "retryable": False},
    }
    yield Saying("messageFailed" if event.failed else "messageRejected", payload, rooms.user(event.user_id))


def _typing(event: e.TypingChanged) -> Iterable[Saying]:
    payload = {"userId": event.user.id, "conversationId": event.conversation_id}
    if event.typing:
        payload["username"] = event.user.username or event.user.name
    name = "userTyping" if event.typing else "userStoppedTyping"
    yield Saying(name, payload, rooms.joined(event.conversation_id), except_user=event.user.id)


def _presence(event: e.PresenceChanged) -> Iterable[Saying]:
    payload = {
        "userId": event.user_id,
        "status": "online" if event.online else "offline",
        "timestamp": iso(event.at),
    }
    yield Saying("userStatusChanged", payload, rooms.presence(event.user_id))


def _members_added(event: e.MembersAdded) -> Iterable[Saying]:
    payload = {
        "conversationId": event.conversation_id,
        "participants": [person(p) for p in event.people],
        "addedBy": event.by,
    }
    yield Saying("participantsAdded", payload, rooms.conversation(event.conversation_id))


def _member_removed(event: e.MemberRemoved) -> Iterable[Saying]:
    payload = {
        "conversationId": event.conversation_id,
        "userId": event.user_id,
        "removedBy": event.by,
        "newOwner": event.heir,
    }
    yield Saying("participantRemoved", payload, rooms.conversation(event.conversation_id))


def _admitted(event: Admitted) -> Iterable[Saying]:
    yield Saying("conversationCreated", conversation(event.view), rooms.user(event.user_id))


def _unread(event: UnreadChanged) -> Iterable[Saying]:
    payload = {"conversationId": event.conversation_id, "unread": event.unread, "total": event.total}
    yield Saying("unreadCount", payload, rooms.user(event.user_id))


SAYS: dict[type, Callable[[Any], Iterable[Saying]]] = {
    e.MessageStored: _new_message,
    e.MessageRepeated: _repeated,
    e.MessageEdited: _edited,
    e.MessageDeleted: _deleted,
    e.ConversationRead: _read,
    e.ConversationDelivered: _delivered,
    e.RecordRefused: _refused,
    e.MembersAdded: _members_added,
    e.MemberRemoved: _member_removed,
    e.TypingChanged: _typing,
    e.PresenceChanged: _presence,
    UnreadChanged: _unread,
    Admitted: _admitted,
}


def _messages_page(page: Page, _asker: Person) -> Payload:
    return {"messages": [message(view) for view in page.items], "nextCursor": page.next_cursor}


def _conversations_page(page: Page, _asker: Person) -> Payload:
    return {"conversations": [conversation(view) for view in page.items], "nextCursor": page.next_cursor}


_ONE = "/chats/conversations/{conversationId}"
SERVES = (
    Serves(
        method="POST",
        path="/chats/conversations",
        schema=CreateConversationDto(),
        command=_create,
        answer=lambda view, _: conversation(view),
        status=201,
        body=True,
    ),
    Serves(
        method="GET",
        path="/chats/conversations",
        schema=PageDto(),
        command=lambda p: c.ListConversations(**p),
        answer=_conversations_page,
    ),
    Serves(
        method="GET",
        path=_ONE,
        schema=OfConversation(),
        command=lambda p: c.GetConversation(**p),
        answer=lambda view, _: conversation(view),
    ),
    Serves(
        method="GET",
        path=f"{_ONE}/messages",
        schema=MessagesDto(),
        command=lambda p: c.ListMessages(**p),
        answer=_messages_page,
    ),
    Serves(
        method="POST",
        path=f"{_ONE}/read",
        schema=OfConversation(),
        command=lambda p: c.MarkConversationRead(**p),
        answer=ok,
        body=True,
    ),
    Serves(
        method="DELETE",
        path="/chats/messages/{messageId}",
        schema=OfMessage(),
        command=lambda p: c.DeleteMessage(**p),
        answer=ok,
    ),
    Serves(
        method="POST",
        path=f"{_ONE}/participants",
        schema=AddParticipantsDto(),
        command=_add,
        answer=lambda view, _: conversation(view),
        body=True,
    ),
    Serves(
        method="DELETE",
        path=_ONE + "/participants/{userId}",
        schema=RemoveParticipantDto(),
        command=lambda p: c.RemoveParticipant(**p),
        answer=ok,
    ),
    Serves(
        method="POST",
        path=f"{_ONE}/leave",
        schema=OfConversation(),
        command=lambda p: c.LeaveConversation(**p),
        answer=ok,
        body=True,
    ),
)


def refuses(error: ChatError) -> Payload:
    """What went wrong."""
    shown: Payload = {"code": error.code, "message": error.message, "retryable": error.retryable}
    if error.details is not None:
        shown["details"] = dict(error.details)
    return {"success": False, "error": shown}


def _greets(arrived: Arrived) -> Iterable[tuple[str, Any]]:
    yield "onlineUsers", list(arrived.online)


GROUPS = Vocabulary(
    name="groups",
    namespace="/chat",
    hears=HEARS,
    says=SAYS,
    serves=SERVES,
    refuses=refuses,
    greets=_greets,
)
