"""Whoever is put out while something is read for them hears nothing of it."""

from collections.abc import Callable, Sequence
from typing import Any

from fakes.memory_archive import MemoryHistory, MemoryPeople
from fakes.memory_store import Tables
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.sessions import Session
from parley.gateway.state.streams import Streams
from parley.shared.events import Numbered
from parley.shared.model import Conversation, Membership, Message, Person, now

C = "conversation"


class Ears:
    """What sockets were told late."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def tell_late(self, sessions: Sequence[Session], event: Numbered) -> None:
        self.told += [event.message.seq for _ in sessions]


class Reading(MemoryHistory):
    """Something happens while a page is read."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.meanwhile: Callable[[], None] = lambda: None

    async def page(self, *args: Any) -> list[Message]:
        self.meanwhile()
        return await super().page(*args)


async def told(meanwhile: str) -> list[int]:
    tables, ears = Tables(), Ears()
    for n in (1, 2):
        tables.messages[f"m{n}"] = Message(
            id=f"m{n}", conversation_id=C, sender_id="ann", content="hi", created_at=now(), seq=n, rev=n
        )
    history = Reading(tables)
    outside = [Session("sid", Person(id="bob"), (), set())]
    if meanwhile == "put out":
        history.meanwhile = outside.clear
    streams = Streams(history, MemoryPeople(tables), lambda _event: None)
    streams.open(C)
    streams.start(Conversation(id=C, kind="group", created_by="ann", created_at=now(), last_seq=2, rev=2))
    parts: Any = streams, history, MemoryPeople(tables), ears
    member = Membership(conversation_id=C, user_id="bob", joined_at=now())
    await JoinBackfill(*parts).catch_up(member, lambda: [*outside])
    return ears.told


async def test_a_newcomer_is_told_what_was_said_before_their_room() -> None:
    assert await told("nothing") == [1, 2]


async def test_a_newcomer_who_is_put_out_meanwhile_is_not() -> None:
    assert await told("put out") == []
