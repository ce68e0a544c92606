"""Samples of everything that a protocol serializes: results of commands, and events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from parley.gateway.core import commands as c
from parley.gateway.core.errors import ChatError, Conflict, Invalid, Unavailable
from parley.gateway.core.pagination import Page
from parley.gateway.core.results import (
    Changes,
    ConversationView,
    Done,
    Introduction,
    Joined,
    Left,
    MessageView,
    Renewed,
    SlowClient,
    UnreadTotal,
)
from parley.gateway.protocols.protocol import Admitted, UnreadChanged
from parley.shared import events as e
from parley.shared.model import (
    Attachment,
    Contract,
    Conversation,
    Digest,
    Member,
    Membership,
    Message,
    Person,
    Revocation,
)

AT = datetime(2026, 3, 1, 12, 30, 5, 678000, tzinfo=UTC)
BARE = Person(id="ann")
KNOWN = Person(
    id="bob",
    name="Bob Builder",
    username="bob",
    first_name="Bob",
    last_name="Builder",
    avatar="https://example.com/bob.png",
    role="agent",
    type="internal",
    department="sales",
    permissions=("chat.read", "chat.write"),
)
FILE = Attachment(id="f-1", name="plan.pdf", size=12_345, type="application/pdf")
ACCEPTED = Message(id="m-1", conversation_id="c-1", sender_id="ann", content="Hello", created_at=AT)
STORED = Message(
    id="m-2",
    conversation_id="c-1",
    sender_id="bob",
    content="Look",
    created_at=AT,
    type="file",
    seq=7,
    rev=9,
    attachments=(FILE,),
    extra='{"mood": "fine", "to": "ann"}',
    reply_to="m-1",
    client_message_id="7f0c2ad6-7c1a-4c3e-9f52-3f1c5a0f3a10",
    temp_id="t-1",
    stored_at=AT,
)
EDITED = Message(
    id="m-3",
    conversation_id="c-1",
    sender_id="bob",
    content="Look there",
    created_at=AT,
    seq=8,
    rev=12,
    edited_at=AT,
)
DELETED = Message(
    id="m-4",
    conversation_id="c-1",
    sender_id="ann",
    content="",
    created_at=AT,
    seq=9,
    rev=13,
    deleted_at=AT,
)
VIEWS = (
    MessageView(ACCEPTED, BARE),
    MessageView(STORED, KNOWN, read=7, delivered=7),
    MessageView(EDITED, KNOWN, read=7, delivered=8),
    MessageView(DELETED, BARE),
)
DIGEST = Digest(id="m-2", seq=7, sender_id="bob", content="Look", type="file", created_at=AT)
NEW = Conversation(id="c-2", kind="direct", created_by="ann", created_at=AT)
LIVELY = Conversation(
    id="c-1",
    kind="group",
    created_by="bob",
    created_at=AT,
    title="Site",
    contract_id="k-1",
    milestone_id="s-1",
    last_seq=7,
    rev=9,
    last_message=DIGEST,
)
CONTRACT = Contract(id="k-1", client_id="ann", freelancer_id="bob", milestones=("s-1",))
MEMBERS = (Member(person=BARE, role="owner"), Member(person=KNOWN, role="admin"))
CONVERSATIONS = (
    ConversationView(NEW, MEMBERS[:1], 1, unread=0),
    ConversationView(NEW, MEMBERS, 2, unread=0),
    ConversationView(LIVELY, MEMBERS, 1_301, unread=3, archived=True, contract=CONTRACT, read_seq=4),
)
NOTHING = Page((), None)
PAGES_OF_MESSAGES = (NOTHING, Page(VIEWS, "7", total=40, limit=4, number=2))
CHANGES = (
    Changes("c-1", rev=13, messages=VIEWS[1:]),
    Changes("c-2", rev=0),
    Changes("c-3", rev=900, too_far=True),
)

RESULTS: dict[type, Sequence[Any]] = {
    c.SendMessage: VIEWS[:2],
    c.SendToContract: VIEWS[:2],
    c.PutContract: (CONTRACT,),
    c.Revoke: (
        Revocation(id="x-1", user_id="ann", before=AT.timestamp(), until=AT),
        Revocation(id="x-1", token_id="t-1", before=AT.timestamp(), until=AT),
        Revocation(id="x-1", user_id="ann", token_id="t-1", before=AT.timestamp(), until=AT),
    ),
    c.CheckAdministrator: (BARE, KNOWN),
    c.ListSlowClients: (
        [],
        [SlowClient("ann", "websocket", 4_096, 65_536), SlowClient(None, "polling", 1, 65_536)],
    ),
    c.Reauthenticate: (Renewed(AT),),
    c.EditMessage: VIEWS[2:3],
    c.DeleteMessage: VIEWS[3:],
    c.MarkRead: (Done(),),
    c.MarkConversationRead: (Done(),),
    c.MarkDelivered: (Done(),),
    c.CreateConversation: CONVERSATIONS,
    c.AddParticipants: CONVERSATIONS[2:],
    c.RemoveParticipant: (Done(),),
    c.LeaveConversation: (Done(),),
    c.ArchiveConversation: (Done(),),
    c.JoinRoom: (Joined("c-1", seq=7, rev=9),),
    c.LeaveRoom: (Left("c-1"),),
    c.SetTyping: (Done(),),
    c.ListOnline: ((), ("ann", "bob")),
    c.Introduce: (Introduction(KNOWN, "node-1.abc", ("ann",)), Introduction(BARE, "node-1.abd", ())),
    c.Ping: (AT,),
    c.Sync: ((), CHANGES),
    c.GetConversation: CONVERSATIONS,
    c.ListParticipants: (NOTHING, Page(MEMBERS, "next")),
    c.ListReceipts: (
        NOTHING,
        Page(
            (Membership(conversation_id="c-1", user_id="ann", joined_at=AT, read_seq=4, delivered_seq=7),),
            "next",
        ),
    ),
    c.ListConversations: (NOTHING, Page(CONVERSATIONS, "next", total=3, limit=3)),
    c.ListMessages: PAGES_OF_MESSAGES,
    c.GetMessage: VIEWS[1:],
    c.CountUnread: (UnreadTotal(0, 3), UnreadTotal(12, 3)),
    c.Search: PAGES_OF_MESSAGES,
}
"""The possible results of each command."""

REFUSED = (
    ChatError("Something went wrong."),
    Conflict("It was deleted."),
    Unavailable("Try again."),
    Invalid.fields({"participants": {"0": ["Not an id."]}}),
)
EVENTS: dict[type, Sequence[Any]] = {
    e.MessageStored: (
        e.MessageStored(record_id="r", message=STORED, sender=KNOWN),
        e.MessageStored(record_id="r", message=EDITED, sender=BARE),
    ),
    e.MessageRepeated: (e.MessageRepeated(record_id="r", message=STORED, sender=KNOWN),),
    e.MessageEdited: (e.MessageEdited(message=EDITED, sender=KNOWN),),
    e.MessageDeleted: (e.MessageDeleted(message=DELETED, sender=BARE),),
    e.ConversationRead: tuple(
        e.ConversationRead(
            record_id="r",
            conversation_id="c-1",
            user_id="ann",
            seq=7,
            message_id=named,
            last_id=last,
            own_since_read=0,
            own_seq=0,
            at=AT,
        )
        for named, last in ((None, None), ("m-2", "m-2"), (None, "m-2"))
    ),
    e.ConversationDelivered: (
        e.ConversationDelivered(record_id="r", conversation_id="c-1", user_id="ann", seq=7, at=AT),
    ),
    e.RecordRefused: tuple(
        e.RecordRefused(
            record_id="r",
            conversation_id="c-1",
            user_id="ann",
            failed=failed,
            code="FORBIDDEN",
            reason="You are no member.",
            message_id=named,
            client_message_id=named,
            temp_id=named,
        )
        for failed in (True, False)
        for named in (None, "m-9")
    ),
    e.MembersAdded: (e.MembersAdded(conversation_id="c-1", people=(BARE, KNOWN), by="bob", at=AT),),
    e.MemberRemoved: (
        e.MemberRemoved(conversation_id="c-1", user_id="ann", by="ann", new_owner="bob", at=AT),
        e.MemberRemoved(conversation_id="c-1", user_id="ann", by="bob", at=AT),
    ),
    e.TypingChanged: tuple(
        e.TypingChanged(conversation_id="c-1", user=person, typing=typing, at=AT)
        for person in (BARE, KNOWN)
        for typing in (True, False)
    ),
    e.RoomChanged: tuple(
        e.RoomChanged(conversation_id="c-1", user_id="ann", joined=joined, at=AT) for joined in (True, False)
    ),
    e.PresenceChanged: tuple(
        e.PresenceChanged(user_id="ann", online=online, at=AT) for online in (True, False)
    ),
    UnreadChanged: (UnreadChanged("ann", "c-1", 3, 12),),
    Admitted: tuple(Admitted("ann", view) for view in CONVERSATIONS),
}
"""The variants of each event."""
GREETED: Sequence[Any] = RESULTS[c.Introduce]
