"""Judges a run at rest: lost, doubled and miscounted messages, and the longest silence of a client."""

import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from clients.chat import ChatUsers, eventually
from clients.invariants import (
    by_sender,
    contents_by_sender,
    difference,
    how_many,
    miscounts,
    recount,
    stored_messages,
)
from clients.load_generator import longest_stop
from clients.recording_clients import RecordingClient
from faults.row import Outcome, Row
from faults.traffic import Traffic
from parley.shared.mongo import Database

Document = dict[str, Any]
SETTLE_SECONDS = 25.0
"""Seconds within which all messages must be stored and received; the slow audit fits into them."""

REFUSED_SECONDS = 2.0


async def judge(
    outcome: Outcome,
    traffic: Traffic,
    users: ChatUsers,
    database: Database,
    settle_seconds: float = SETTLE_SECONDS,
) -> None:
    """Write the figures into the outcome, and a reason for each wrong one."""
    accepted = traffic.accepted
    await _wait_until_settled(traffic, database, len(accepted), settle_seconds)
    stored = {group: await stored_messages(database, group) for group in traffic.groups}
    ids = {message["_id"] for messages in stored.values() for message in messages}
    strays = [stray for client in traffic.clients for stray in client.sequence_breaks]
    not_stored, missing = accepted.keys() - ids, _missing(traffic, ids)
    wrong = [await miscounts(database, users, group, settle_seconds) for group in traffic.groups]
    outcome.accepted = len(accepted)
    vanished, renumbered = _vanished(traffic, ids), _renumbered(traffic, stored)
    outcome.lost = len(not_stored.union(vanished, *missing.values()))
    outcome.doubled = sum(map(doubled, stored.values())) + sum(now <= last for _, last, now in strays)
    outcome.doubled += len(renumbered)
    outcome.holes = sum(map(holes, stored.values())) + sum(now > last + 1 for _, last, now in strays)
    outcome.unread_wrong = sum(map(len, wrong))
    outcome.silence = max(_silences(traffic, stored))
    outcome.reasons += _reasons(outcome, not_stored, missing, strays)
    outcome.reasons += [f"received, but not stored: {_some(vanished)}"] if vanished else []
    outcome.reasons += [f"stored with another number: {_some(renumbered)}"] if renumbered else []
    outcome.reasons += [
        f"unread counts as stored, recounted, by REST: {counts}" for counts in wrong if counts
    ]
    outcome.reasons += [reason async for reason in _undelivered(traffic, database, settle_seconds)]
    outcome.reasons += _differences(traffic, stored)
    outcome.reasons += _refusals(traffic, outcome.row)
    outcome.reasons += _losses(traffic, outcome.row)


async def _wait_until_settled(
    traffic: Traffic, database: Database, accepted: int, settle_seconds: float
) -> None:
    async def all_stored() -> bool:
        return await how_many(database, *traffic.groups) >= accepted

    with contextlib.suppress(AssertionError):
        await eventually(all_stored, settle_seconds)
        await eventually(
            lambda: all(len(c.received_at) >= accepted for c in traffic.connected), settle_seconds
        )


async def _undelivered(traffic: Traffic, database: Database, settle_seconds: float) -> AsyncIterator[str]:
    """Yield reasons for unread counts and confirmations that clients with an unbroken socket did not get."""
    recounts = {group: await recount(database, group) for group in traffic.groups}
    steady = [client for client in traffic.connected if not client.disconnects]

    def miscounted() -> dict[str, tuple[int, int]]:
        return {
            f"{_name(client)} in {group}": (client.unread.get(group, 0), counts[client.user_id])
            for client in steady
            for group, counts in recounts.items()
            if client.unread.get(group, 0) != counts[client.user_id]
        }

    def unconfirmed() -> dict[str, set[str]]:
        sent = {client: {confirmation["messageId"] for confirmation in client.confirmed} for client in steady}
        return {_name(client): left for client in steady if (left := client.accepted.keys() - sent[client])}

    with contextlib.suppress(AssertionError):
        await eventually(lambda: not miscounted() and not unconfirmed(), settle_seconds)
    if miscounted():
        yield f"unread counts received live and recounted: {miscounted()}"
    for name, left in unconfirmed().items():
        yield f"not confirmed to {name}: {_some(left)}"


def _silences(traffic: Traffic, stored: Mapping[str, list[Document]]) -> Iterator[float]:
    """Yield the longest silence of each client and conversation."""
    accepted = traffic.accepted
    for messages in stored.values():
        for client in traffic.connected:
            known = [message["_id"] for message in messages if message["_id"] in client.received_at]
            yield silence(accepted, {id: client.received_at[id] for id in known})


def silence(accepted: Mapping[str, float], received_at: Mapping[str, float]) -> float:
    """Return the longest time in seconds in which a client received nothing though a message was due."""
    times = sorted((at, accepted.get(id, at)) for id, at in received_at.items())
    # For each received message: since when it or a later received one was due.
    due_since = list(itertools.accumulate((at for _, at in reversed(times)), min))[::-1]
    before = [0.0, *(received for received, _ in times)]
    return max(
        (received - max(b, d) for (received, _), b, d in zip(times, before, due_since, strict=False)),
        default=0.0,
    )


def _missing(traffic: Traffic, ids: set[str]) -> dict[str, set[str]]:
    """Return the ids that connected clients do not know, by client."""
    missing = {_name(client): ids - client.received_at.keys() for client in traffic.connected}
    return {name: unknown for name, unknown in missing.items() if unknown}


def _vanished(traffic: Traffic, ids: set[str]) -> set[str]:
    """Return the messages that clients received or had confirmed, and that are not stored."""
    received = {id for client in traffic.clients for id in client.numbers}
    confirmed = {each["messageId"] for client in traffic.clients for each in client.confirmed}
    return (received | confirmed) - ids


def _renumbered(traffic: Traffic, stored: Mapping[str, list[Document]]) -> set[str]:
    """Return the stored messages that a client received by another number."""
    numbers = {message["_id"]: message["seq"] for messages in stored.values() for message in messages}
    given = [(id, number) for client in traffic.clients for id, number in client.numbers.items()]
    return {id for id, number in given if numbers.get(id, number) != number}


def _name(client: RecordingClient) -> str:
    return f"{client.user_id} on {client.node}"


def doubled(messages: list[Document]) -> int:
    """Count repeated messages."""
    sent = Counter((message["senderId"], message["content"]) for message in messages)
    return sum(count - 1 for count in sent.values())


def holes(messages: list[Document]) -> int:
    """Count missing numbers and revisions."""
    recounts = set(range(1, len(messages) + 1))
    return len(recounts - {m["seq"] for m in messages}) + len(recounts - {m["rev"] for m in messages})


def _reasons(
    outcome: Outcome, not_stored: set[str], missing: Mapping[str, set[str]], strays: list[Any]
) -> Iterator[str]:
    if not_stored:
        yield f"accepted, but not stored: {_some(not_stored)}"
    for name, unknown in missing.items():
        yield f"not received by {name}: {_some(unknown)}"
    if outcome.doubled or outcome.holes:
        yield f"doubles and holes; received out of order (conversation, after, number): {_some(strays)}"
    if outcome.silence is not None and outcome.silence > outcome.row.silence:
        received = f"a client received nothing of a conversation for {outcome.silence:.1f} s"
        yield f"{received}, more than {outcome.row.silence:g}"


def _some(things: Any) -> str:
    shown = list(itertools.islice(things, 3))
    return f"{shown} ({len(things)} in all)"


def _differences(traffic: Traffic, stored: Mapping[str, list[Document]]) -> Iterator[str]:
    """Yield where stored or displayed messages differ from accepted ones, or in order."""
    for group, messages in stored.items():
        sent, stored_contents = contents_by_sender(traffic.speakers, group), by_sender(messages)
        if sent != stored_contents:
            yield f"accepted and stored messages differ: {difference(stored_contents, sent)}"
        contents = {message["seq"]: message["content"] for message in messages}
        for speaker in traffic.speakers:
            if speaker.displayed[group] != contents:
                yield f"{_name(speaker)} does not display the stored messages"


def _losses(traffic: Traffic, row: Row) -> Iterator[str]:
    lost = [_name(client) for client in traffic.clients if client not in traffic.connected]
    lost += [_name(speaker) for speaker in traffic.speakers if speaker.disconnects]
    if lost and not row.cuts:
        yield f"sockets were lost without reason: {_some(lost)}"


def _refusals(traffic: Traffic, row: Row) -> Iterator[str]:
    refused = [refusal for speaker in traffic.speakers for refusal in speaker.refusals]
    groundless = [refusal for refusal in refused if refusal["code"] not in row.refusal]
    if groundless:
        yield f"sends were refused without reason: {_some(groundless)}"
    slow = [refusal for refusal in refused if refusal["seconds"] > REFUSED_SECONDS]
    if slow:
        slowest = max(refusal["seconds"] for refusal in slow)
        yield f"{len(slow)} sends were refused after more than {REFUSED_SECONDS:g} s, up to {slowest:.1f}"
    stop = longest_stop(traffic.speakers)
    if stop > row.refused:
        yield f"a client could send nothing for {stop:.1f} s, more than {row.refused:g}"
    unanswered = sum(speaker.unanswered for speaker in traffic.speakers)
    if unanswered and not row.unreachable:
        yield f"{unanswered} sends had no acknowledgement"
    failures = [about for client in traffic.speakers for about in client.failures]
    if failures:
        yield f"sends failed later: {_some(failures)}"
