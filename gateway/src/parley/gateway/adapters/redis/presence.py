"""Presence in Redis: leases that the node renews, and that expire when it is killed."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import structlog

from parley.gateway.adapters.call_batches import CallBatches
from parley.gateway.adapters.redis.presence_changes import PresenceChanges
from parley.gateway.adapters.redis.presence_store import Changed, PresenceStore
from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import EventPublisher
from parley.shared.presence import PresenceKeys, lease_name

log = structlog.get_logger()

LEASE_SECONDS = 15.0
GRACE_SECONDS = 3.0
RENEW_SECONDS = LEASE_SECONDS / 3
SWEEP_SECONDS = 1.0
SWEEP_LIMIT = 500
RENEW_AT_ONCE = 500


class _Arrival(NamedTuple):
    member: str
    contacts: Collection[str]


class RedisPresence:
    """`Presence`."""

    def __init__(self, store: PresenceStore, event_publisher: EventPublisher) -> None:
        self._store = store
        self._mine: set[str] = set()
        self._unreported: set[str] = set()
        self._background = Background()
        self._arrivals = CallBatches(self._arrive, self._background.spawn)
        self._departures = CallBatches(self._leave, self._background.spawn)
        self._changes = PresenceChanges(event_publisher, self._background.spawn)

    def __len__(self) -> int:
        """Return the number of this node's leases."""
        return len(self._mine)

    def start(self) -> None:
        """Renew this node's leases, and remove the expired ones of all nodes."""
        self._background.repeat(RENEW_SECONDS, self._renew)
        self._background.repeat(SWEEP_SECONDS, self._sweep)

    async def stop(self) -> None:
        """End all leases of this node."""
        await self._background.stop()
        if self._mine:
            try:
                _raise((await self._store.leave(self._mine, GRACE_SECONDS)).error)
            except Unavailable:
                log.warning("gateway.presence.leases_left", sockets=len(self._mine))
        await self._changes.publish()
        await self._store.close()

    async def add_socket(self, user_id: str, socket_id: str, contacts: Collection[str]) -> list[str]:
        member = lease_name(user_id, socket_id)
        self._mine.add(member)
        try:
            return await self._arrivals.call(_Arrival(member, contacts))
        except BaseException:
            self._mine.discard(member)
            raise

    def forget_socket(self, user_id: str, socket_id: str) -> None:
        self._mine.discard(lease_name(user_id, socket_id))

    async def remove_socket(self, user_id: str, socket_id: str) -> None:
        member = lease_name(user_id, socket_id)
        self._mine.discard(member)
        try:
            await self._departures.call(member)
        except Unavailable:
            self._unreported.add(member)
            raise

    async def online(self, user_ids: Collection[str]) -> list[str]:
        if not user_ids:
            return []
        online = await self._store.online(user_ids)
        return [user_id for user_id in user_ids if user_id in online]

    async def _leave(self, members: Sequence[str]) -> Sequence[None]:
        _raise((await self._store.leave(members, GRACE_SECONDS)).error)
        return [None] * len(members)

    async def _arrive(self, arrivals: Sequence[_Arrival]) -> Sequence[list[str]]:
        """Take leases; return the contacts of each who are online then."""
        asked = {user_id for arrival in arrivals for user_id in arrival.contacts}
        members = [arrival.member for arrival in arrivals]
        changed, online = await self._store.arrive(members, LEASE_SECONDS, asked)
        self._announce(changed, online=True)
        return [[user_id for user_id in arrival.contacts if user_id in online] for arrival in arrivals]

    def _announce(self, changed: Changed, *, online: bool) -> None:
        """Publish what has changed; then raise `Unavailable` if a part of Redis is away."""
        self._changes.add(changed.users, online=online)
        _raise(changed.error)

    async def _renew(self) -> None:
        # Redis may have lost a lease in a restart, or ended it while this node was suspended.
        mine = list(self._mine)
        away: set[PresenceKeys] = set()
        error = None
        for start in range(0, len(mine), RENEW_AT_ONCE):
            some = [m for m in mine[start : start + RENEW_AT_ONCE] if m in self._mine]
            # The leases of one master must not expire while another is away, nor be waited for each time.
            changed, _ = await self._store.arrive(
                [m for m in some if not away or self._store.keys_of(m) not in away], LEASE_SECONDS
            )
            self._changes.add(changed.users, online=True)
            away |= changed.failed
            error = error or changed.error
        _raise(error)

    async def _report_departures(self) -> None:
        # Redis may have lost the leases of users who left while it was away. Other users still see them
        # online, so the leases are taken again before they are ended.
        unreported = list(self._unreported)[:RENEW_AT_ONCE]
        if unreported:
            arrived, _ = await self._store.arrive(unreported, LEASE_SECONDS)
            left = await self._store.leave(unreported, GRACE_SECONDS)
            away = arrived.failed | left.failed
            self._unreported.difference_update(m for m in unreported if self._store.keys_of(m) not in away)

    async def _sweep(self) -> None:
        await self._report_departures()
        self._announce(await self._store.sweep(SWEEP_LIMIT), online=False)


def _raise(error: Unavailable | None) -> None:
    if error is not None:
        raise error
