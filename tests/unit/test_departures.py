"""The presence of sockets that go together is ended in few tasks, and completely."""

import asyncio
from typing import Any, cast

from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.gateway.live.departures import AT_ONCE, Departures
from parley.gateway.live.sessions import Session

SOCKETS = 3 * AT_ONCE + 1


class SlowPresence:
    def __init__(self, away: frozenset[str] = frozenset()) -> None:
        self.away = away
        self.removed: list[str] = []
        self.waiting = self.most = 0
        self.changed = asyncio.Event()

    async def remove_socket(self, user_id: str, _socket_id: str) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        if user_id in self.away:
            raise Unavailable("Redis is away.")
        self.removed.append(user_id)
        self.changed.set()


async def removed(presence: SlowPresence, expected: list[str]) -> None:
    async with asyncio.timeout(5):
        while presence.removed != expected:
            presence.changed.clear()
            await presence.changed.wait()


async def test_sockets_that_go_together_are_removed_in_order_by_a_bounded_number_of_tasks() -> None:
    presence, background = SlowPresence(), Background()
    departures = Departures(cast(Any, presence), background.spawn)
    users = [f"user-{number}" for number in range(SOCKETS)]

    for user in users:
        departures.add(Session(f"n.{user}", "/chat", user))
    async with asyncio.timeout(5):
        await departures.wait()

    assert presence.removed == users
    assert presence.most == AT_ONCE
    departures.add(Session("n.late", "/chat", "late"))
    await removed(presence, [*users, "late"])


async def test_a_socket_that_cannot_be_removed_keeps_no_other_one() -> None:
    presence, background = SlowPresence(frozenset({"ann"})), Background()
    departures = Departures(cast(Any, presence), background.spawn)

    for user in ("ann", "ben"):
        departures.add(Session(f"n.{user}", "/chat", user))

    await removed(presence, ["ben"])
