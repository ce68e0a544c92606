"""Compares a replay's log with what was stored, received and counted."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from load.replay import proof
from load.replay.attendance import Attendance, RoomSession
from load.replay.evidence import Archive, Rest
from load.replay.proof import Count, Finding, LogMessage, SocketRecording, Stored
from load.replay.recording import DeliveryLog
from load.replay.replay_run import ReplayRun

SETTLE_SECONDS = 20.0
"""Seconds in which the counts must settle after the last read mark."""


async def findings(
    messages: Sequence[LogMessage],
    replay_run: ReplayRun,
    attendance: Attendance,
    deliveries: DeliveryLog,
    archive: Archive,
    rest: Rest,
) -> list[Finding]:
    """Return the findings, the most important first."""
    conversation = replay_run.conversation_id
    stored = await archive.messages(conversation)
    witness = next(iter(attendance.tokens.values()))
    upwards = await rest.history_upwards(conversation, witness)
    downwards = await rest.history_downwards(conversation, witness)
    counts = await _settled_counts(messages, stored, replay_run, attendance, archive, rest)
    recordings = [_recording(session, deliveries.accepted) for session in attendance.all]
    return [
        proof.log_is_stored(messages, stored, "the conversation in MongoDB"),
        proof.numbers_have_no_holes(stored),
        proof.senders_keep_their_order(messages, stored),
        proof.every_socket_received_all(recordings),
        proof.deliveries_match_storage(deliveries.by_number, stored, deliveries.contradictions),
        proof.every_send_is_confirmed(messages, stored, recordings, replay_run.repeats),
        proof.counts_agree(counts),
        proof.log_is_stored(messages, upwards, "the history by REST, paged upwards,"),
        proof.log_is_stored(messages, downwards, "the history by REST, paged downwards,"),
        Finding("no line was refused", tuple(replay_run.refused)),
        Finding("no socket was cut", tuple(_cut(attendance))),
    ]


def _cut(attendance: Attendance) -> Iterator[str]:
    for member in attendance.present:
        if member.socket.closed.is_set():
            yield f"{member.user_id} (as {member.speaker.nick}) by {member.gateway}"


def _recording(session: RoomSession, end: int) -> SocketRecording:
    recorder, last = session.member.recorder, end if session.last is None else session.last
    return SocketRecording(
        session.member.user_id,
        session.member.speaker.nick,
        session.first,
        last,
        tuple(recorder.numbers),
        tuple(recorder.confirmations),
    )


async def _settled_counts(
    messages: Sequence[LogMessage],
    stored: Sequence[Stored],
    replay_run: ReplayRun,
    attendance: Attendance,
    archive: Archive,
    rest: Rest,
) -> list[Count]:
    """Return the counts as soon as they agree, or after `SETTLE_SECONDS` as they are."""
    deadline = time.perf_counter() + SETTLE_SECONDS
    while True:
        counts = await _counts(messages, stored, replay_run, attendance, archive, rest)
        if proof.counts_agree(counts).holds or time.perf_counter() > deadline:
            return counts
        await asyncio.sleep(0.25)


async def _counts(
    messages: Sequence[LogMessage],
    stored: Sequence[Stored],
    replay_run: ReplayRun,
    attendance: Attendance,
    archive: Archive,
    rest: Rest,
) -> list[Count]:
    conversation = replay_run.conversation_id
    kept = await archive.unread_counts(conversation)
    reported = await rest.all_unread(conversation, attendance.tokens)
    by_the_log = [line.user_id for line in messages]
    by_storage = [message.user_id for message in stored]
    nowhere = (0, None)
    return [
        Count(
            user_id,
            proof.unread(user_id, replay_run.read_marks.get(user_id, 0), by_the_log),
            proof.unread(user_id, kept.get(user_id, nowhere)[0], by_storage),
            kept.get(user_id, nowhere)[1],
            reported.get(user_id),
        )
        for user_id in replay_run.user_ids
    ]
