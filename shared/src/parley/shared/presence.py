"""The keys of presence in Redis, and how a socket's lease is named."""

LEASES = "parley:presence:leases"
"""A sorted set of `lease_name`s, scored by the lease's end: Unix time in milliseconds, by Redis' clock."""
SOCKETS = "parley:presence:sockets"
"""A hash: a user's id, and the number of their live sockets."""
LEAVING = "parley:presence:leaving"
"""A sorted set of users who have just gone, scored by the time at which they count as offline."""


def lease_name(user_id: str, socket_id: str) -> str:
    """Return the name of a socket's lease."""
    return f"{user_id}\0{socket_id}"
