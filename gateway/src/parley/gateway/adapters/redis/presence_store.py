"""The leases of presence in Redis: one script, run in each bucket of users that a call concerns."""

from collections.abc import Collection, Iterable, Sequence
from hashlib import sha1
from importlib import resources
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from parley.gateway.core.errors import Unavailable
from parley.shared.metrics import bus_failures
from parley.shared.pipelined_connection import Command
from parley.shared.presence import PresenceBuckets, PresenceKeys
from parley.shared.redis import FAULTS, Commands

SCRIPT = resources.files("parley.gateway.adapters.redis").joinpath("presence.lua").read_text()
SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Call(NamedTuple):
    """A call of the script in one bucket."""

    keys: PresenceKeys
    action: str
    milliseconds: int
    arguments: Sequence[str]


class Changed(NamedTuple):
    """The effect of calls: in a cluster some masters may be away while others answer."""

    users: list[str]
    """The users whose state has changed."""
    failed: set[PresenceKeys]
    """The buckets whose master did not answer."""
    error: Unavailable | None
    """The error of one of those."""


class PresenceStore:
    """Takes, ends and asks for leases, in one round trip each."""

    def __init__(self, commands: Commands, buckets: PresenceBuckets) -> None:
        self._commands = commands
        self._buckets = buckets

    def keys_of(self, lease: str) -> PresenceKeys:
        """Return the bucket of a lease."""
        return self._buckets.of_lease(lease)

    async def arrive(
        self, leases: Collection[str], seconds: float, asked: Collection[str] = ()
    ) -> tuple[Changed, set[str]]:
        """Take leases, and ask who of some users is online then; return the change and these users.

        The change has an error, too, if the master of a user who is asked for is away.

        Raises:
            Unavailable: Redis is away.
        """
        calls = self._calls("arrive", seconds, leases)
        questions = self._questions(asked)
        replies = await self._run("arrive", calls, [command for _, two in questions for command in two])
        changed = _changed("arrive", calls, replies[: len(calls)])
        online, error = _online(questions, replies[len(calls) :])
        return changed._replace(error=changed.error or error), online

    async def leave(self, leases: Collection[str], grace: float) -> Changed:
        """End leases; a user without any is offline after the grace, in seconds. Raises `Unavailable`."""
        return await self._change("leave", self._calls("leave", grace, leases))

    async def sweep(self, limit: int) -> Changed:
        """End the leases that have expired, so many in each bucket at most. Raises `Unavailable`."""
        return await self._change(
            "sweep", [Call(keys, "sweep", 0, [str(limit)]) for keys in self._buckets.all]
        )

    async def online(self, user_ids: Collection[str]) -> set[str]:
        """Return those of these users who are online. Raises `Unavailable`."""
        questions = self._questions(user_ids)
        replies = await self._run("online", [], [command for _, two in questions for command in two])
        online, error = _online(questions, replies)
        if error is not None:
            raise error
        return online

    async def close(self) -> None:
        """Close the connections."""
        await self._commands.close()

    async def _change(self, action: str, calls: Sequence[Call]) -> Changed:
        return _changed(action, calls, await self._run(action, calls, []))

    def _calls(self, action: str, seconds: float, leases: Iterable[str]) -> list[Call]:
        by_bucket: dict[PresenceKeys, list[str]] = {}
        for lease in leases:
            by_bucket.setdefault(self._buckets.of_lease(lease), []).append(lease)
        return [Call(keys, action, int(seconds * 1000), some) for keys, some in by_bucket.items()]

    def _questions(self, user_ids: Iterable[str]) -> list[tuple[list[str], list[Command]]]:
        by_bucket: dict[PresenceKeys, list[str]] = {}
        for user_id in user_ids:
            by_bucket.setdefault(self._buckets.of(user_id), []).append(user_id)
        return [
            (ids, [("HMGET", keys.sockets, *ids), ("ZMSCORE", keys.leaving, *ids)])
            for keys, ids in by_bucket.items()
        ]

    async def _run(self, operation: str, calls: Sequence[Call], questions: Sequence[Command]) -> list[Any]:
        """Return the replies to calls and questions, errors of single ones among them."""
        try:
            replies = await self._commands.run([*(_by_hash(call) for call in calls), *questions])
            lost = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if lost:
                # A Redis that was restarted, or was a replica, does not have the script: this loads it. The
                # questions are asked again, for the answers may depend on the calls.
                again = await self._commands.run([*(_by_text(calls[n]) for n in lost), *questions])
                for n, reply in zip(lost, again, strict=False):
                    replies[n] = reply
                replies[len(calls) :] = again[len(lost) :]
        except FAULTS as error:
            raise _away(operation) from error
        return replies


def _by_hash(call: Call) -> Command:
    return ("EVALSHA", SHA, len(call.keys), *call.keys, call.action, call.milliseconds, *call.arguments)


def _by_text(call: Call) -> Command:
    return ("EVAL", SCRIPT, *_by_hash(call)[2:])


def _changed(action: str, calls: Sequence[Call], replies: Sequence[Any]) -> Changed:
    changed = Changed([], set(), None)
    for call, reply in zip(calls, replies, strict=True):
        if isinstance(reply, Exception):
            changed.failed.add(call.keys)
            changed = changed._replace(error=_away(action, reply))
        else:
            changed.users.extend(map(bytes.decode, reply))
    return changed


def _online(
    questions: Sequence[tuple[list[str], Any]], replies: Sequence[Any]
) -> tuple[set[str], Unavailable | None]:
    found: set[str] = set()
    error = None
    for number, (ids, _) in enumerate(questions):
        sockets, leaving = replies[2 * number : 2 * number + 2]
        fault = next((reply for reply in (sockets, leaving) if isinstance(reply, Exception)), None)
        if fault is not None:
            error = _away("online", fault)
            continue
        states = zip(ids, sockets, leaving, strict=True)
        found.update(user_id for user_id, count, grace in states if count or grace)
    return found, error


def _away(operation: str, cause: BaseException | None = None) -> Unavailable:
    bus_failures.labels(f"presence_{operation}").inc()
    error = Unavailable("Presence is unavailable. Retry later.")
    error.__cause__ = cause
    return error
