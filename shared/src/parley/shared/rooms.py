"""The names of rooms, and the Redis channel that carries each room's events.

A room `a/b` is part of the room `a` and shares its channel. One subscription therefore serves all
sockets of a conversation, whatever their protocol and whether or not they joined its room.
"""

CHANNEL_PREFIX = "parley:"


def conversation(conversation_id: str) -> str:
    """Return the room of all sockets of a conversation's members."""
    return f"conversation:{conversation_id}"


def joined(conversation_id: str) -> str:
    """Return the room of the members' sockets that joined the conversation."""
    return f"conversation:{conversation_id}/joined"


def user(user_id: str) -> str:
    """Return the room of all sockets of a user."""
    return f"user:{_escape(user_id)}"


def presence(user_id: str) -> str:
    """Return the room of the sockets that receive a user's presence."""
    return f"presence:{_escape(user_id)}"


def everyone() -> str:
    """Return the room of all sockets of all nodes."""
    return "all"


def node(name: str) -> str:
    """Return the room of one gateway."""
    return f"node:{name}"


def channel(room: str) -> str:
    """Return the Redis channel of a room."""
    return CHANNEL_PREFIX + room.partition("/")[0]


def of_channel(channel_name: str) -> str:
    """Return the outermost room of a channel."""
    return channel_name.removeprefix(CHANNEL_PREFIX)


def joined_id(room: str) -> str | None:
    """Return the conversation's id if this is the room of its joined sockets or a part of it."""
    conversation_room, _, rest = room.partition("/")
    if not rest:
        return None
    kind, _, conversation_id = conversation_room.partition(":")
    return conversation_id if kind == "conversation" and rest.partition("/")[0] == "joined" else None


def user_id(room: str) -> str:
    """Return the user whose room this is."""
    return _unescape(room.removeprefix("user:"))


def presence_id(room: str) -> str | None:
    """Return the user's id if this is the room of a user's presence."""
    return _unescape(room.removeprefix("presence:")) if room.startswith("presence:") else None


def _unescape(escaped: str) -> str:
    return escaped.replace("%2F", "/").replace("%25", "%")


def _escape(user_id: str) -> str:
    """Escape an id that Parley did not assign, because a slash in it would name another room."""
    return user_id.replace("%", "%25").replace("/", "%2F")
