"""Presence in Redis: leases that the node renews, and that expire when it is killed."""

from collections.abc import Collection, Sequence
from importlib import resources
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from parley.gateway.adapters.call_batches import CallBatches
from parley.gateway.adapters.redis.presence_changes import PresenceChanges
from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import EventPublisher
from parley.gateway.pubsub.pipelined_connection import Command, PipelinedConnection, raise_first
from parley.shared.metrics import bus_failures
from parley.shared.presence import LEASES, LEAVING, SOCKETS, lease_name
from parley.shared.redis import FAULTS

log = structlog.get_logger()

KEYS = (LEASES, SOCKETS, LEAVING)
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

    def __init__(self, redis: "Redis", event_publisher: EventPublisher) -> None:
        self._redis = redis
        self._pipeline = PipelinedConnection(redis)
        self._script = redis.register_script(
            resources.files("parley.gateway.adapters.redis").joinpath("presence.lua").read_text()
        )
        self._mine: set[str] = set()
        self._unreported: set[str] = set()
        self._background = Background()
        self._arrivals = CallBatches(self._arrive_and_ask, self._background.spawn)
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
                await self._run("leave", GRACE_SECONDS, *self._mine)
            except Unavailable:
                log.warning("gateway.presence.leases_left", sockets=len(self._mine))
        await self._changes.publish()
        await self._pipeline.close()
        await self._redis.aclose()

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
        ids = list(user_ids)
        if not ids:
            return []
        return _online(ids, *await self._ask("online", _states(ids)))

    async def _leave(self, members: Sequence[str]) -> Sequence[None]:
        await self._run("leave", GRACE_SECONDS, *members)
        return [None] * len(members)

    async def _arrive_and_ask(self, arrivals: Sequence[_Arrival]) -> Sequence[list[str]]:
        """Take leases; return the contacts of each who are online then."""
        asked = {user_id for arrival in arrivals for user_id in arrival.contacts}
        online = await self._arrive_with([arrival.member for arrival in arrivals], list(asked))
        return [[user_id for user_id in arrival.contacts if user_id in online] for arrival in arrivals]

    async def _arrive_with(self, members: Sequence[str], ids: Sequence[str]) -> set[str]:
        """Take the leases of members; return the users of these who are online then."""
        sha = str(self._script.sha)
        lease: Command = (
            "EVALSHA",
            sha,
            len(KEYS),
            *KEYS,
            "arrive",
            int(LEASE_SECONDS * 1000),
            *members,
        )
        try:
            changed, *states = await self._ask("arrive", [lease, *(_states(ids) if ids else [])])
        except NoScriptError:
            # Redis was restarted and has lost the script: this loads it again.
            await self._arrive(members)
            return set(await self.online(ids))
        self._changes.add(map(bytes.decode, changed), online=True)
        return set(_online(ids, *states)) if ids else set()

    async def _ask(self, operation: str, commands: Sequence[Command]) -> list[Any]:
        try:
            replies = await self._pipeline.run(commands)
            raise_first(replies)
        except NoScriptError:
            raise
        except FAULTS as error:
            raise _away(operation, error) from error
        return replies

    async def _arrive(self, members: Collection[str]) -> None:
        self._changes.add(await self._run("arrive", LEASE_SECONDS, *members), online=True)

    async def _renew(self) -> None:
        # Redis may have lost a lease in a restart, or ended it while this node was suspended.
        mine = list(self._mine)
        for start in range(0, len(mine), RENEW_AT_ONCE):
            await self._arrive([m for m in mine[start : start + RENEW_AT_ONCE] if m in self._mine])

    async def _report_departures(self) -> None:
        # Redis may have lost the leases of users who left while it was away. Other users still see them
        # online, so the leases are taken again before they are ended.
        unreported = list(self._unreported)[:RENEW_AT_ONCE]
        if unreported:
            await self._run("arrive", LEASE_SECONDS, *unreported)
            await self._run("leave", GRACE_SECONDS, *unreported)
            self._unreported.difference_update(unreported)

    async def _sweep(self) -> None:
        await self._report_departures()
        self._changes.add(await self._run("sweep", 0, str(SWEEP_LIMIT)), online=False)

    async def _run(self, action: str, seconds: float, *members: str) -> list[str]:
        try:
            changed = await self._script(keys=KEYS, args=[action, int(seconds * 1000), *members])
        except FAULTS as error:
            raise _away(action, error) from error
        return [user.decode() for user in changed]


def _states(user_ids: Sequence[str]) -> list[Command]:
    return [("HMGET", SOCKETS, *user_ids), ("ZMSCORE", LEAVING, *user_ids)]


def _online(user_ids: Sequence[str], sockets: Sequence[Any], leaving: Sequence[Any]) -> list[str]:
    states = zip(user_ids, sockets, leaving, strict=True)
    return [user_id for user_id, count, grace in states if count or grace]


def _away(operation: str, error: Exception) -> Unavailable:
    bus_failures.labels(f"presence_{operation}").inc()
    return Unavailable("Presence is unavailable. Retry later.")
