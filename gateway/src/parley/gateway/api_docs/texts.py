"""What the documents say in words."""

from importlib.metadata import version

from parley.gateway.protocols.protocol import Admitted, UnreadChanged
from parley.shared import events as e

INFO = {"title": "Parley", "version": version("parley-gateway")}
REST = """
The REST side of Parley, a realtime chat backend. Parley speaks several vocabularies: the same
conversations and messages in different words, one tag for each. What they say by Socket.IO is in
[/asyncapi.json](/asyncapi.json).

Every request brings a JWT. A refusal has a `code` for programs and a `message` for people, in the shape
of the vocabulary; what may succeed when it is tried again is answered with 429 or 503, and `Retry-After`.
""".strip()
SOCKETS = """
The Socket.IO side of Parley, a realtime chat backend. Each channel is one vocabulary on a namespace of
Socket.IO, its `address`; an event's name is its message's `name`, its one argument the payload. What a
client emits with a callback is acknowledged: with what came of it, or with a refusal. The paths that are
served besides are in [/openapi.json](/openapi.json).

A socket connects with its user's token. When that expires or is revoked it hears `disconnect` and is closed,
unless it has gone on by `reauthenticate` with another token of the same user before. One that is not let in
hears `connect_error`, whose `data` is an error with `code`, `message` and `retryable`. When what stands in
the way will pass, the connection is closed instead: then its library tries again by itself.

What is done too often is refused with the code `RATE_LIMITED`, and may be done again after `retryAfter`
seconds; a socket that goes on is closed.

A client that loses its connection goes on where it was, as with Socket.IO's connection state recovery: its
library brings back the `pid` that it was told on connecting and the last `offset`, an event that follows each
message of a room that was joined, and that nobody needs to listen to. The new socket is in the rooms that
the old one had joined, and hears what it missed there. What is kept lapses after two minutes.

Where several vocabularies share a namespace, the words of a socket decide. At first it may speak any of
them, and hears the events of all. An event that is good in only some of them, by its name and its payload,
leaves it these; from then on it hears no other's. What is good in none is refused and decides nothing.
""".strip()
TAG = "Paths in the words that are spoken on the Socket.IO namespace `{namespace}`."
TAG_ALONE = "Paths in words of their own, with no events."
CHANNEL = "The vocabulary `{name}` on the Socket.IO namespace `{namespace}`."
ALONE = "It is the only one there: `io(url + '{namespace}', {{auth: {{token}}}})` speaks it."
BESIDE = (
    "Also spoken there: {others}. A socket hears them all until it has said something that only some of "
    "them understand; from then on it speaks and hears those only."
)
TOKEN = "A JWT, signed with HS256, or with RS256 or ES256. Its `sub`, `userId` or `id` is the user's id."
TOKEN_IN_QUERY = "The same JWT, for what cannot set headers. It is kept out of all logs."
TOKEN_IN_AUTH = "The JWT as `token` of the `auth` object with which a Socket.IO client connects."
WHEN: dict[type, str] = {
    e.MessageStored: "A message is stored and has its number.",
    e.MessageEdited: "A message has other content.",
    e.MessageDeleted: "A message was deleted; its number stays.",
    e.MessageRepeated: "A message was sent again: it is stored already, and only once.",
    e.ConversationRead: "Someone has read up to a message.",
    e.ConversationDelivered: "A device of someone's has received up to a message.",
    e.RecordRefused: "A message that had been accepted could not be stored.",
    e.MembersAdded: "People came into a conversation.",
    e.MemberRemoved: "Someone left a conversation, or was put out of it.",
    e.TypingChanged: "Someone started or stopped typing.",
    e.RoomChanged: "Someone opened a conversation, or closed it.",
    e.PresenceChanged: "Someone came online, or went offline.",
    UnreadChanged: "One's unread count changed, of a conversation and in total.",
    Admitted: "One has come into a conversation, be it new or not.",
}
"""What has happened when an event is said."""
GREETING = "One has connected."
ECHO = "One has asked for it by `{event}`."
TO = "Goes to {whom}"
EXCEPT_USER = "Not to those of whoever did it."
EXCEPT_ROOM = "Not to {whom}"
