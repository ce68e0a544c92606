"""Texts of the API documents."""

from importlib.metadata import version

from parley.gateway.protocols.protocol import Admitted, UnreadChanged
from parley.shared import events as e

INFO = {"title": "Parley", "version": version("parley-gateway")}
REST = """
The REST API of Parley, a realtime chat backend. Parley serves several client protocols: the same
conversations and messages under different names and shapes. Each protocol has a tag here. Its Socket.IO
events are in [/asyncapi.json](/asyncapi.json).

Every request needs a JWT. An error has a `code` for programs and a `message` for people, in the protocol's
own shape. A request that may succeed later is answered with 429 or 503 and `Retry-After`.
""".strip()
SOCKETS = """
The Socket.IO API of Parley, a realtime chat backend. Each channel is one client protocol on a Socket.IO
namespace, the channel's `address`. A message's `name` is the event's name, its payload the event's one
argument. An event that a client emits with a callback is acknowledged, with its result or with an error. The
refusal of one without a callback is reported by the event `exception`. The REST API is in
[/openapi.json](/openapi.json).

A socket connects with its user's token. When the token expires or is revoked, the socket receives
`disconnect` and is closed, unless it has renewed the token before: `reauthenticate` takes another token of
the same user. A socket that is refused receives `connect_error`, whose `data` is an error with `code`,
`message` and `retryable`. On a transient failure the connection is closed instead of refused, because client
libraries reconnect after a close but not after `connect_error`.

A client that exceeds a rate limit gets the error `RATE_LIMITED` and may retry after `retryAfter` seconds. A
socket that goes on is closed. While more is sent than can be carried, messages are refused with the error
`OVERLOADED`; they are not stored, and may be sent again after `retryAfter` seconds. An event of more than
256 KiB closes its socket: check a text's length before it is sent, and do not send again what closed it.

A client that loses its connection is restored by Socket.IO's connection state recovery: its library sends the
`pid` it was given on connecting and the last `offset`, an event that follows each message of a joined room
and that applications can ignore. The new socket is in the same joined rooms and receives what was missed
there. The stored state expires after two minutes.

Where protocols share a namespace, a socket's events select the protocol. At first the socket may use all of
them and receives the events of all. An event that only some of them accept, by name and payload, selects
these; from then on the socket receives no events of others. An event that none accepts is refused and
selects nothing.
""".strip()
TAG = "Routes of the protocol on the Socket.IO namespace `{namespace}`."
TAG_ALONE = "Routes without Socket.IO events."
CHANNEL = "The protocol `{name}` on the Socket.IO namespace `{namespace}`."
ALONE = "It is the only one there: connect with `io(url + '{namespace}', {{auth: {{token}}}})`."
BESIDE = (
    "The namespace is shared with {others}. A socket receives the events of all of them until it has sent an "
    "event that only some of them accept; from then on it uses only these."
)
TOKEN = "A JWT, signed with HS256, RS256 or ES256. Its `sub`, `userId` or `id` is the user's id."
TOKEN_IN_QUERY = "The same JWT, for clients that cannot set headers. It is masked in all logs."
TOKEN_IN_AUTH = "The JWT as `token` of the Socket.IO client's `auth` object."
IDEMPOTENCY_KEY = (
    "A name for the request, instead of `{field}` in the body: a retry with the same key does nothing again. "
    "A key that is no UUID stands for one."
)
TRACEPARENT = "The client's trace, as W3C Trace Context writes it. A value of another form is ignored."
WHEN: dict[type, str] = {
    e.MessageStored: "A message is stored and has its number.",
    e.MessageEdited: "A message's content has changed.",
    e.MessageDeleted: "A message was deleted; its number stays.",
    e.MessageRepeated: "A retried message is already stored; it is stored only once.",
    e.ConversationRead: "A user has read up to a message.",
    e.ConversationDelivered: "A user's device has received up to a message.",
    e.RecordRefused: "An accepted message could not be stored.",
    e.MembersAdded: "Users were added to a conversation.",
    e.MemberRemoved: "A user has left a conversation or was removed from it.",
    e.TypingChanged: "A user has started or stopped typing.",
    e.RoomChanged: "A user has opened or closed a conversation.",
    e.PresenceChanged: "A user came online or went offline.",
    UnreadChanged: "The user's unread counts have changed, of a conversation and in total.",
    Admitted: "The user has become a member of a conversation, new or existing.",
}
"""When an event is sent, by its trigger."""
ON_CONNECT = "The socket has connected."
EXCEPTION = "The socket has sent an event without a callback, and it is refused."
REPLY = "The socket has sent `{event}`."
ALSO_SENT_AS = "The result is also sent as the event `{event}`."
ROOM_OF = "Return the room of "
"""How the docstring of a room's function begins; the rest names the room's sockets."""
SOME_SOCKETS = "the sockets concerned."
SENT_TO = "Sent to {sockets}"
EXCEPT_USER = "Not sent to the sockets of the user who caused it."
EXCEPT_ROOM = "Not sent to {sockets}"
