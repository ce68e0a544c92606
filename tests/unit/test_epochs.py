"""Epochs: two histories of a conversation never look alike, whatever a backup brings back."""

import pytest

from fakes.memory_archive import MemoryConversations, MemoryHistory
from fakes.memory_store import Tables
from parley.gateway.core.positions import Revision
from parley.gateway.services.epochs import Epochs
from parley.persistence_worker import epochs as worker
from parley.persistence_worker.ports import Head
from parley.shared.model import REMEMBERED_EPOCHS, Conversation, Epoch, Message, now

C = "conversation"


def head(rev: int, *epochs: Epoch) -> Conversation:
    return Conversation(id=C, kind="group", created_by="ann", created_at=now(), rev=rev, epochs=epochs)


async def continues(conversation: Conversation | None, rev: int, epoch: int | None) -> bool:
    tables = Tables()
    if conversation is not None:
        tables.conversations[C] = conversation
    history = Epochs(MemoryConversations(tables), MemoryHistory(tables))
    return await history.continues(C, Revision(rev, epoch))


@pytest.mark.parametrize(
    ("rev", "epoch", "expected"),
    [
        (0, None, True),
        (4, 7, True),
        (4, 8, False),
        (5, 8, True),
        (5, 7, False),
        (9, 8, True),
        (10, 8, False),
        (10, None, False),
        (9, None, True),
        (9, 0, True),
    ],
)
async def test_a_history_continues_from_a_revision_of_the_same_epoch(
    rev: int, epoch: int | None, expected: bool
) -> None:
    assert await continues(head(9, Epoch(7, 1), Epoch(8, 5)), rev, epoch) is expected


async def test_a_conversation_that_is_gone_continues_nothing() -> None:
    assert not await continues(None, 1, 7)


async def test_a_revision_stored_above_the_head_is_one_of_the_history() -> None:
    tables = Tables()
    tables.conversations[C] = head(1, Epoch(7, 1))
    tables.messages["m"] = Message(
        id="m", conversation_id=C, sender_id="ann", content="", created_at=now(), seq=2, rev=2, epoch=8
    )
    history = Epochs(MemoryConversations(tables), MemoryHistory(tables))

    assert await history.continues(C, Revision(2, 8))
    assert not await history.continues(C, Revision(2, 7))


async def test_a_revision_of_an_epoch_too_long_ago_is_refused() -> None:
    several = tuple(Epoch(100 + n, 10 * n) for n in range(1, REMEMBERED_EPOCHS + 1))
    assert not await continues(head(900, *several), 5, 99)
    assert await continues(head(900, *several), 10, 101)


def test_a_head_keeps_its_last_epochs() -> None:
    known = Head(0, 0)
    for rev in range(1, 2 * REMEMBERED_EPOCHS):
        known = known.at(rev, rev, epoch=rev)
    assert known.epochs == tuple(Epoch(r, r) for r in range(REMEMBERED_EPOCHS, 2 * REMEMBERED_EPOCHS))


def test_an_epoch_lasts_while_the_worker_and_the_term_last() -> None:
    epochs, term = worker.Epochs(), object()
    first = epochs.begin(term, {C: Head(0, 0)})
    epochs.end({C: Head(3, 3)})

    assert epochs.begin(term, {C: Head(3, 3)}) == first
    assert worker.Epochs().begin(term, {C: Head(3, 3)}) != first


@pytest.mark.parametrize("restored", [Head(3, 2), Head(0, 0)])
def test_a_head_that_went_back_begins_an_epoch(restored: Head) -> None:
    epochs = worker.Epochs()
    first = epochs.begin(None, {C: Head(0, 0)})
    epochs.end({C: Head(3, 3)})
    second = epochs.begin(None, {C: restored})

    assert second != first
    assert epochs.begin(None, {C: restored}) == second


def test_another_primary_begins_an_epoch() -> None:
    epochs = worker.Epochs()
    assert epochs.begin("one", {}) != epochs.begin("other", {})
