"""The keys of presence in Redis, and how a socket's lease is named."""

from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from parley.shared import cluster_url

BUCKETS = 64
"""Parts of presence in a Redis Cluster; gateways and commands of all versions have to agree on it."""


class PresenceKeys(NamedTuple):
    """The keys of a part of all users; in a cluster they share a hash slot, and so a master."""

    leases: str
    """A sorted set of `lease_name`s, scored by the lease's end: Unix time in ms by the clock of Redis."""
    sockets: str
    """A hash: a user's id, and the number of their live sockets."""
    leaving: str
    """A sorted set of users who have just gone, scored by the time at which they count as offline."""


class PresenceBuckets:
    """The users, spread over buckets by their ids."""

    def __init__(self, buckets: Iterable[PresenceKeys]) -> None:
        self.all = tuple(buckets)

    def of(self, user_id: str) -> PresenceKeys:
        """Return the keys of a user's bucket."""
        if len(self.all) == 1:
            return self.all[0]
        return self.all[crc32(user_id.encode()) % len(self.all)]

    def of_lease(self, name: str) -> PresenceKeys:
        """Return the keys of the bucket of a lease."""
        return self.of(name.partition("\0")[0])


def buckets(redis_url: str) -> PresenceBuckets:
    """Return the buckets of presence: one if Redis is one, whose keys are those of all versions."""
    tags = [f"{{{n}}}:" for n in range(BUCKETS)] if cluster_url.is_cluster(redis_url) else [""]
    names = ("leases", "sockets", "leaving")
    return PresenceBuckets(PresenceKeys(*(f"parley:presence:{tag}{name}" for name in names)) for tag in tags)


def lease_name(user_id: str, socket_id: str) -> str:
    """Return the name of a socket's lease."""
    return f"{user_id}\0{socket_id}"
