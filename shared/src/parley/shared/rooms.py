"""The names of rooms, and the Redis channel that each room's events travel on.

A room `a/b` lies within the room `a` and shares its channel: so one subscription serves all the
sockets of a conversation, whatever words they speak and whether or not they joined.
"""

CHANNEL_PREFIX = "parley:"


def conversation(conversation_id: str) -> str:
    """Sockets of a conversation's members."""
    return f"conversation:{conversation_id}"


def joined(conversation_id: str) -> str:
    """Those of its members' sockets that joined the conversation."""
    return f"conversation:{conversation_id}/joined"


def user(user_id: str) -> str:
    """All sockets of a user."""
    return f"user:{_segment(user_id)}"


def presence(user_id: str) -> str:
    """Sockets of those who are told when the user comes and goes."""
    return f"presence:{_segment(user_id)}"


def everyone() -> str:
    """All sockets of all nodes."""
    return "all"


def node(name: str) -> str:
    """One gateway."""
    return f"node:{name}"


def channel(room: str) -> str:
    """The Redis channel of a room."""
    return CHANNEL_PREFIX + room.partition("/")[0]


def of_channel(channel_name: str) -> str:
    """The outermost room that a channel serves."""
    return channel_name.removeprefix(CHANNEL_PREFIX)


def joined_id(room: str) -> str | None:
    """The conversation whose joined sockets are in this room or within it, if it is such a one."""
    conversation_room, _, rest = room.partition("/")
    kind, _, conversation_id = conversation_room.partition(":")
    return conversation_id if kind == "conversation" and rest.partition("/")[0] == "joined" else None


def user_id(room: str) -> str:
    """The user whose room this is."""
    return _chosen(room.removeprefix("user:"))


def presence_id(room: str) -> str | None:
    """The user whose comings and goings are told in this room, if it is such a one."""
    return _chosen(room.removeprefix("presence:")) if room.startswith("presence:") else None


def _chosen(segment: str) -> str:
    return segment.replace("%2F", "/").replace("%25", "%")


def _segment(chosen: str) -> str:
    """An id that somebody else chose, such that its slashes lead into no other room."""
    return chosen.replace("%", "%25").replace("/", "%2F")
