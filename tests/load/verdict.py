"""Puts a replay on trial: gathers what was stored, heard and counted, and finds whether it is the log."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from load import proof
from load.evidence import Archive, Rest
from load.listening import Ledger
from load.performance import Performance
from load.proof import Count, Ears, Finding, Spoken, Stored
from load.stays import Stay, Stays

SETTLING = 20.0
"""Seconds in which the counts must come to rest after the last mark."""


async def findings(
    spoken: Sequence[Spoken],
    performance: Performance,
    stays: Stays,
    ledger: Ledger,
    archive: Archive,
    rest: Rest,
) -> list[Finding]:
    """Every point of the proof, in the order in which a reader asks for it."""
    conversation = performance.conversation_id
    stored = await archive.messages(conversation)
    witness = next(iter(stays.tokens.values()))
    upwards = await rest.history_upwards(conversation, witness)
    downwards = await rest.history_downwards(conversation, witness)
    counts = await _settled_counts(spoken, stored, performance, stays, archive, rest)
    ears = [_ears(stay, ledger.accepted) for stay in stays.all]
    return [
        proof.the_log_is_stored(spoken, stored, "the conversation in MongoDB"),
        proof.numbers_have_no_holes(stored),
        proof.senders_keep_their_order(spoken, stored),
        proof.all_heard_all(ears),
        proof.heard_is_stored(ledger.by_number, stored, ledger.contradictions),
        proof.all_confirmed(spoken, stored, ears, performance.repeats),
        proof.counts_agree(counts),
        proof.the_log_is_stored(spoken, upwards, "the history by REST, paged upwards,"),
        proof.the_log_is_stored(spoken, downwards, "the history by REST, paged downwards,"),
        Finding("no line was refused", tuple(performance.refused)),
        Finding("no socket was cut", tuple(_cut(stays))),
    ]


def _cut(stays: Stays) -> Iterator[str]:
    for member in stays.present:
        if member.socket.closed.is_set():
            yield f"{member.user_id} (as {member.speaker.nick}) by {member.gateway}"


def _ears(stay: Stay, end: int) -> Ears:
    listener, last = stay.member.listener, end if stay.last is None else stay.last
    return Ears(
        stay.member.user_id,
        stay.member.speaker.nick,
        stay.first,
        last,
        tuple(listener.numbers),
        tuple(listener.confirmations),
    )


async def _settled_counts(
    spoken: Sequence[Spoken],
    stored: Sequence[Stored],
    performance: Performance,
    stays: Stays,
    archive: Archive,
    rest: Rest,
) -> list[Count]:
    """The counts as soon as they agree, or as they are when the time for it is over."""
    deadline = time.perf_counter() + SETTLING
    while True:
        counts = await _counts(spoken, stored, performance, stays, archive, rest)
        if proof.counts_agree(counts).holds or time.perf_counter() > deadline:
            return counts
        await asyncio.sleep(0.25)


async def _counts(
    spoken: Sequence[Spoken],
    stored: Sequence[Stored],
    performance: Performance,
    stays: Stays,
    archive: Archive,
    rest: Rest,
) -> list[Count]:
    conversation = performance.conversation_id
    kept = await archive.kept_counts(conversation)
    told = await rest.all_unread(conversation, stays.tokens)
    by_the_log = [line.user_id for line in spoken]
    by_storage = [message.user_id for message in stored]
    nowhere = (0, None)
    return [
        Count(
            user_id,
            proof.unread(user_id, performance.marks.get(user_id, 0), by_the_log),
            proof.unread(user_id, kept.get(user_id, nowhere)[0], by_storage),
            kept.get(user_id, nowhere)[1],
            told.get(user_id),
        )
        for user_id in performance.user_ids
    ]
