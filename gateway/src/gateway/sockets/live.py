"""The live side of a node, wired: who is here, what they are told, and what keeps that right."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from gateway.core.chat import Chat, World
from gateway.core.errors import Unavailable
from gateway.core.pressure import Pressure
from gateway.core.roster import Roster
from gateway.core.stream import Streams
from gateway.core.typing_board import TypingBoard
from gateway.sockets.auditor import Auditor
from gateway.sockets.fanout import FanOut
from gateway.sockets.following import Following
from gateway.sockets.lobby import Lobby
from gateway.sockets.newcomers import Newcomers
from gateway.sockets.redis_manager import RedisManager
from gateway.sockets.seats import Seats
from gateway.sockets.sessions import Sessions
from gateway.vocabularies.vocabulary import Vocabulary
from shared.events import MemberRemoved

log = structlog.get_logger()

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


class Live:
    """All that hears of events and tells this node's sockets.

    `spawn` does something beside; within `presence_seconds` every node has told a Redis that has
    forgotten all who is there.
    """

    def __init__(
        self,
        *,
        manager: RedisManager,
        vocabularies: Sequence[Vocabulary],
        world: World,
        chat: Chat,
        roster: Roster,
        pressure: Pressure,
        spawn: Spawn,
        presence_seconds: float,
    ) -> None:
        self._spawn = spawn
        self._presence_seconds = presence_seconds
        self.roster = roster
        self.sessions = Sessions()
        self.board = TypingBoard()
        self.seats = Seats(manager, self.sessions)
        self.fanout = FanOut(
            manager=manager,
            vocabularies=vocabularies,
            roster=roster,
            board=self.board,
            passed_on=chat.receipts.passed_on,
            refused=chat.messages.refused,
            pressure=pressure,
        )
        self.streams = Streams(world.messages, world.people, self.fanout.pass_on)
        self.following = Following(
            sessions=self.sessions,
            seats=self.seats,
            roster=roster,
            memberships=world.memberships,
            presence=world.presence,
            tell=self.fanout.tell_each,
            say=self.fanout.say,
        )
        self.lobby = Lobby(
            sessions=self.sessions,
            seats=self.seats,
            roster=roster,
            streams=self.streams,
            access=chat.access,
            conversations=world.conversations,
            memberships=world.memberships,
            people=world.people,
            presence=world.presence,
            contacts=chat.presence,
            newcomers=Newcomers(self.streams, world.messages, world.people, self.fanout),
            following=self.following,
            tell=self.fanout.say,
        )
        self.auditor = Auditor(
            lobby=self.lobby,
            following=self.following,
            sessions=self.sessions,
            roster=roster,
            streams=self.streams,
            conversations=world.conversations,
            memberships=world.memberships,
            messages=world.messages,
            fanout=self.fanout,
        )
        self._connect_parts(manager)

    def _connect_parts(self, manager: RedisManager) -> None:
        manager.on_forgotten = self.following.unheard
        self.fanout.streams = self.streams
        self.fanout.stays = self.lobby.stays
        self.fanout.on_presence = self.following.heard
        self.fanout.on_created = lambda user_id, event: self._spawn(self.lobby.admit(user_id, event))
        self.fanout.on_added = lambda event: self._spawn(self.following.added(event))
        self.fanout.on_removed = self._removed
        self.fanout.on_control = lambda control: self._spawn(manager.obey(control))

    async def restore(self) -> None:
        """The bus was lost, and is back: make up for what it did not bring."""
        await self.auditor.restore()
        self._spawn(self._make_up_presence())

    async def _make_up_presence(self) -> None:
        await asyncio.sleep(self._presence_seconds)
        try:
            await self.following.make_up()
        except Unavailable as error:
            log.warning("some may be thought to be there, or not", error=str(error))

    def _removed(self, event: MemberRemoved) -> None:
        self.lobby.expel(event.conversation_id, event.user_id)
        self._spawn(self._part(event))

    async def _part(self, event: MemberRemoved) -> None:
        try:
            await self.following.parted(event.conversation_id, event.user_id)
        except Unavailable as error:
            log.warning("some still hear of each other", user=event.user_id, error=str(error))
