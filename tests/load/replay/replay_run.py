"""Performs a script: speakers come and go, every line is sent in its turn, some are marked as read."""

import asyncio
import math
import time
from collections import Counter
from typing import Any

from load.progress import Progress
from load.replay.attendance import Attendance, Interrupted, done
from load.replay.evidence import Rest
from load.replay.members import Member, account
from load.replay.recording import DeliveryLog
from load.replay.script import Arrival, Departure, Line, Script
from parley.shared.model import MAX_PARTICIPANTS

RETRY_SECONDS = 60.0
"""Seconds for which a line is sent again before the replay gives up."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
QUIET = 15.0
"""Seconds without progress after which missing deliveries count as lost."""


class ReplayRun:
    """One run of a script; user ids start with `prefix`."""

    def __init__(
        self, script: Script, prefix: str, attendance: Attendance, deliveries: DeliveryLog, progress: Progress
    ) -> None:
        self.conversation_id = ""
        self.read_marks: dict[str, int] = {}
        """The read mark of each user that has set one."""
        self.refused: list[str] = []
        self.repeats: Counter[str] = Counter()
        """The retries of each line by its client message id."""
        self.seconds = 0.0
        """Seconds from the first line to the last delivery."""
        self.user_ids = list(dict.fromkeys(account(prefix, speaker.person) for speaker in script.speakers))
        self._script = script
        self._attendance = attendance
        self._deliveries = deliveries
        self._progress = progress
        self._sent = 0

    async def create_conversation(self, title: str, creator: Member, rest: Rest) -> None:
        """Create the conversation with all present and later speakers, and join its room."""
        others = [user_id for user_id in self.user_ids if user_id != creator.user_id]
        now, later = others[:MAX_PARTICIPANTS], others[MAX_PARTICIPANTS:]
        wish = {"type": "group", "name": title, "participants": now}
        self.conversation_id = (await done(creator, "createConversation", wish))["conversation"]["_id"]
        for start in range(0, len(later), MAX_PARTICIPANTS):
            batch = later[start : start + MAX_PARTICIPANTS]
            await rest.add_participants(self.conversation_id, batch, creator.token)
        await self._attendance.open(self.conversation_id)

    async def run(self, speed: float) -> None:
        """Play all cues, each line after the one before it was accepted, and wait until all are delivered.

        `speed` scales the log's own clock; infinity waits for nothing but acceptance.
        """
        start = time.perf_counter()
        for cue in self._script.actions:
            match cue:
                case Arrival(speaker):
                    await self._attendance.connect(speaker)
                case Departure(speaker):
                    await self._attendance.disconnect(speaker)
                case Line():
                    await _until(start + cue.moment / speed)
                    await self._send_next(cue)
        await self._wait_for_deliveries()
        self.seconds = time.perf_counter() - start
        await self._read_all()

    async def _send_next(self, line: Line) -> None:
        total = len(self._script.lines)
        await self._send(line)
        self._sent += 1
        self._progress.show("lines sent", self._sent, total)
        if self._sent == math.ceil(total / 2):
            await self._read_so_far()

    async def _send(self, line: Line) -> None:
        member = self._attendance.member(line.speaker)
        body = {
            "conversationId": self.conversation_id,
            "content": line.content,
            "type": "text",
            "clientMessageId": line.client_message_id,
        }
        began = self._deliveries.start_send()
        member.recorder.unconfirmed.add(line.client_message_id)
        pause = FIRST_PAUSE
        while error := await self._attempt(member, body):
            if not error["retryable"]:
                self._deliveries.refuse()
                member.recorder.unconfirmed.discard(line.client_message_id)
                self.refused.append(f"{line.content!r} of {member.user_id}: {error['message']}")
                return
            if time.perf_counter() - began > RETRY_SECONDS:
                raise Interrupted(f"no line was accepted for {RETRY_SECONDS:.0f} s: {error['message']}")
            self.repeats[line.client_message_id] += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self._deliveries.accept()

    async def _attempt(self, member: Member, body: dict[str, Any]) -> dict[str, Any] | None:
        try:
            answer = await member.call("sendMessage", body)
        except TimeoutError:
            return {"retryable": True, "message": "the send was not acknowledged"}
        except ConnectionError as error:
            raise Interrupted(
                f"{member.user_id} lost the socket on {member.gateway}: {str(error).rstrip('.')}"
            ) from error
        return None if answer["success"] else answer["error"]

    async def _wait_for_deliveries(self) -> None:
        due, delivered = self._attendance.expected_deliveries() + self._deliveries.accepted, -1
        last_news = time.perf_counter()
        while delivered < due and time.perf_counter() - last_news < QUIET:
            before, delivered = delivered, self._deliveries.count + len(self._deliveries.confirmed)
            if delivered != before:
                last_news = time.perf_counter()
            self._progress.show("delivered", delivered, due)
            await asyncio.sleep(0.02)

    async def _read_so_far(self) -> None:
        """Half way, let a third of the people mark the last message that they received as read."""
        await asyncio.gather(*map(self._mark_last, list(self._attendance.people.values())[1::3]))

    async def _mark_last(self, member: Member) -> None:
        number = max(member.recorder.numbers, default=0)
        if number == 0:
            return
        message_id = self._deliveries.by_number[number].id
        body = {"conversationId": self.conversation_id, "messageId": message_id}
        await done(member, "markAsRead", body)
        self.read_marks[member.user_id] = number

    async def _read_all(self) -> None:
        """At the end, let another third mark the whole conversation as read; the others leave it unread."""
        readers = list(self._attendance.people.values())[::3]
        body = {"conversationId": self.conversation_id}
        await asyncio.gather(*(done(reader, "markConversationAsRead", body) for reader in readers))
        self.read_marks.update((reader.user_id, self._deliveries.accepted) for reader in readers)


async def _until(moment: float) -> None:
    remaining = moment - time.perf_counter()
    if remaining > 0:
        await asyncio.sleep(remaining)
