"""A replay in slices brings what a replay at once brings, whatever its size, and reads little at a time."""

import random
from collections.abc import Iterator

import pytest

from parley.gateway.core.positions import Position
from parley.gateway.state.replay import Read, Span, has_changed, in_order, next_slice
from parley.shared.events import MessageStored, Numbered
from parley.shared.model import Message, Person, now

C = "conversation"
PEOPLE = {"ann": Person(id="ann")}


def history(choose: random.Random, actions: int) -> tuple[list[Message], list[Position]]:
    """Return the messages of a conversation after sends and edits, by number, and its position after each."""
    stored: dict[int, Message] = {}
    positions = [Position(0, 0)]
    for rev in range(1, actions + 1):
        seq = choose.randint(1, len(stored)) if stored and choose.random() < 0.5 else len(stored) + 1
        edited = now() if seq in stored else None
        stored[seq] = Message(
            id=f"m{seq}",
            conversation_id=C,
            sender_id="ann",
            content=str(rev),
            seq=seq,
            rev=rev,
            epoch=1 + rev // 20,
            created_at=now(),
            edited_at=edited,
        )
        positions.append(Position(len(stored), rev, stored[seq].epoch))
    return list(stored.values()), positions


def read(stored: list[Message], after: Position, at_once: int) -> Read:
    changes = sorted((m for m in stored if m.rev > after.rev), key=lambda m: m.rev)
    return Read(changes[:at_once], [m for m in stored if m.seq > after.seq][:at_once], at_once)


def slices(
    stored: list[Message], received: Position, head: Position, at_once: int
) -> Iterator[list[Numbered]]:
    for _ in range(10 * len(stored) + 10):
        if received.seq >= head.seq and received.rev >= head.rev:
            return
        piece = next_slice(received, head, read(stored, received, at_once), PEOPLE)
        assert piece.reached != received, "no progress"
        yield list(piece.events)
        received = piece.reached
    raise AssertionError("the replay does not end")


def last_states(events: list[Numbered]) -> dict[str, str]:
    return {event.message.id: event.message.content for event in events}


@pytest.mark.parametrize("at_once", range(1, 9))
def test_slices_bring_what_a_replay_at_once_brings_in_an_order_that_can_be_resumed(at_once: int) -> None:
    for seed in range(50):
        assert_same_replay(random.Random(seed), at_once)


def assert_same_replay(choose: random.Random, at_once: int) -> None:
    stored, positions = history(choose, choose.randint(1, 60))
    received, head = sorted(choose.choices(positions, k=2), key=lambda position: position.rev)

    events = [event for piece in slices(stored, received, head, at_once) for event in piece]

    changed = [m for m in stored if m.seq <= received.seq and m.rev > received.rev and has_changed(m)]
    new = [m for m in stored if received.seq < m.seq <= head.seq]
    expected = list(in_order(Span(received.rev, head.rev), changed, new, PEOPLE))
    assert last_states(events) == last_states(expected)
    numbers = [event.message.seq for event in events if isinstance(event, MessageStored)]
    assert numbers == [m.seq for m in new]
    revisions = [event.message.rev for event in events]
    assert revisions == sorted(revisions)


def test_a_slice_has_no_more_events_than_were_read() -> None:
    for seed in range(50):
        stored, positions = history(random.Random(seed), 80)
        pieces = list(slices(stored, positions[0], positions[-1], 5))
        assert max(map(len, pieces)) <= 2 * 5
