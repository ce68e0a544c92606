"""Whoever comes into a conversation sees its messages as they are, though they change while they are read."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from fakes.memory_archive import MemoryHistory, MemoryPeople
from fakes.memory_store import Tables
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.state.streams import Streams
from parley.shared.events import MessageEdited, MessageStored, Numbered
from parley.shared.model import Conversation, Membership, Message, Person, now

ANN, BEN, C = Person(id="ann"), Person(id="ben"), "conversation"


class LateHistory(MemoryHistory):
    """Its pages arrive when something else has happened."""

    meanwhile: Callable[[], None]

    async def page(
        self, conversation_id: str, limit: int, before: int | None, after: int | None
    ) -> list[Message]:
        found = await super().page(conversation_id, limit, before, after)
        self.meanwhile()
        return found


class Screen:
    """What a newcomer is told, as the fan-out would."""

    def __init__(self) -> None:
        self.contents: dict[int, str] = {}

    def tell_late(self, sessions: Sequence[Session], event: Numbered) -> None:
        if sessions:
            self.contents[event.message.seq] = event.message.content


async def test_an_edit_that_comes_between_the_reading_and_the_room_is_told() -> None:
    tables = Tables()
    history, people, screen = LateHistory(tables), MemoryPeople(tables), Screen()
    streams = Streams(history, people, lambda _event: None)
    streams.open(C)
    streams.start(Conversation(id=C, kind="group", created_by=ANN.id, created_at=now()))
    said = Message(
        id="m1", conversation_id=C, sender_id=ANN.id, content="said", seq=1, rev=1, created_at=now()
    )
    tables.messages[said.id] = said
    streams.receive(MessageStored(record_id="r1", message=said, sender=ANN))

    def meanwhile() -> None:
        edited = replace(said, content="edited", rev=2, edited_at=now())
        tables.messages[said.id] = edited
        streams.receive(MessageEdited(message=edited, sender=ANN))

    history.meanwhile = meanwhile
    fanout: Any = screen
    session = Session("n.1", BEN, (GROUPS,), set(), connected=True)
    membership = Membership(conversation_id=C, user_id=BEN.id, joined_at=now())
    await JoinBackfill(streams, history, people, fanout).catch_up(membership, lambda: [session])

    assert screen.contents == {1: "edited"}
