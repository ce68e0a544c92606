"""The speakers that are online during a replay: their sockets enter and leave the conversation's room."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from load.replay.members import Connector, ConnectRefused, Member, close_all
from load.replay.recording import DeliveryLog
from load.replay.script import Speaker

CONNECT_SECONDS, PAUSE = 30.0, 0.25
"""Seconds for which a refused connect is repeated, and between two attempts."""
LEAVE_SECONDS = 30.0
"""Seconds that a leaving socket waits for the messages sent before."""


class Interrupted(Exception):
    """The replay cannot go on; the text is the reason."""


@dataclass
class RoomSession:
    """One socket's time in the room: it receives the numbers from `first` on, to `last` once it has left."""

    member: Member
    first: int
    last: int | None = None


class Attendance:
    """The stays of all speakers in one conversation."""

    def __init__(self, connector: Connector, deliveries: DeliveryLog, opening: Sequence[Member]) -> None:
        self.all: list[RoomSession] = []
        self.tokens: dict[str, str] = {}
        """A token of each user that was ever online."""
        self._connector = connector
        self._deliveries = deliveries
        self._present: dict[Speaker, RoomSession] = {}
        self._opening = opening
        self._room: dict[str, str] = {}

    @property
    def present(self) -> list[Member]:
        return [session.member for session in self._present.values()]

    @property
    def people(self) -> dict[str, Member]:
        """One member of each online person, by user id."""
        return {member.user_id: member for member in reversed(self.present)}

    def member(self, speaker: Speaker) -> Member:
        """Return the socket of an online speaker."""
        return self._present[speaker].member

    def expected_deliveries(self) -> int:
        """Return the number of deliveries due for the messages accepted so far."""
        now = self._deliveries.accepted
        token_seconds = ((session, now if session.last is None else session.last) for session in self.all)
        return sum(max(0, last - session.first + 1) for session, last in token_seconds)

    async def open(self, conversation_id: str) -> None:
        """Connect the speakers that are online from the beginning, and join the conversation's room."""
        self._room = {"conversationId": conversation_id}
        await asyncio.gather(*map(self._join, self._opening))

    async def connect(self, speaker: Speaker) -> None:
        """Connect a speaker, who receives messages from now on; raises Interrupted if that keeps failing."""
        deadline = time.perf_counter() + CONNECT_SECONDS
        while True:
            try:
                member = await self._connector.connect(speaker)
                break
            except ConnectRefused as error:
                if time.perf_counter() > deadline:
                    why = str(error).rstrip(".")
                    raise Interrupted(f"{speaker.nick} could not come on: {why}") from error
            await asyncio.sleep(PAUSE)
        await self._join(member)

    async def disconnect(self, speaker: Speaker) -> None:
        """Disconnect a speaker as soon as it has received all messages accepted before."""
        session = self._present.pop(speaker)
        session.last = self._deliveries.accepted
        # The proof reports what is still missing then.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._wait_for_deliveries(session)
        await close_all([session.member])

    async def close(self) -> None:
        """Disconnect all speakers."""
        await close_all(list(self._opening) + self.present)

    async def _join(self, member: Member) -> None:
        answer = await done(member, "joinRoom", self._room)
        session = RoomSession(member, answer["seq"] + 1)
        self.all.append(session)
        self._present[member.speaker] = session
        self.tokens[member.user_id] = member.token

    async def _wait_for_deliveries(self, session: RoomSession) -> None:
        news = session.member.recorder.activity
        while not self._has_received_all(session):
            news.clear()
            await news.wait()

    def _has_received_all(self, session: RoomSession) -> bool:
        recorder = session.member.recorder
        numbers_are_here = session.first > self._deliveries.accepted or (
            bool(recorder.numbers) and recorder.numbers[-1] >= self._deliveries.accepted
        )
        return numbers_are_here and not recorder.unconfirmed


async def done(member: Member, event: str, data: Any) -> dict[str, Any]:
    """Send an event that must not be refused and return its acknowledgement.

    Raises:
        Interrupted: It was refused.
    """
    try:
        answer = await member.call(event, data)
    except (TimeoutError, ConnectionError) as error:
        raise Interrupted(f"{event} of {member.user_id} was not answered: {error}") from error
    if not answer["success"]:
        raise Interrupted(f"{event} of {member.user_id} was refused: {answer['error']['message']}")
    return answer
