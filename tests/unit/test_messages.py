"""Sending, when the way to storage is shut."""

import asyncio
import uuid

import pytest

from parley.gateway.core.commands import SendMessage
from parley.gateway.core.errors import Conflict, Unavailable
from parley.gateway.services.access import Access
from parley.gateway.services.messages import MessageService
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Membership, Person, now
from parley.shared.records import Record

ANN = Person(id="ann")


class Outbox:
    """Holds records until they are confirmed or refused."""

    def __init__(self) -> None:
        self.flights: list[asyncio.Future[None]] = []

    def put(self, record: Record) -> "asyncio.Future[None]":
        self.flights.append(asyncio.get_running_loop().create_future())
        return self.flights[-1]


def service(outbox: Outbox) -> MessageService:
    membership_cache = MembershipCache()
    membership_cache.arrive(ANN)
    membership_cache.admit(Membership(conversation_id="c", user_id="ann", joined_at=now()))
    nobody = None
    return MessageService(Access(membership_cache, nobody, nobody), outbox, nobody)  # type: ignore[arg-type]


def send(content: str, name: str) -> SendMessage:
    return SendMessage(conversation_id="c", content=content, client_message_id=name)


async def test_a_name_is_free_again_when_the_send_was_refused() -> None:
    outbox, name = Outbox(), str(uuid.uuid4())
    messages = service(outbox)
    await messages.send(ANN, send("first", name))
    outbox.flights[0].set_exception(Unavailable("away"))
    await asyncio.sleep(0)

    corrected = await messages.send(ANN, send("corrected", name))

    assert corrected.result.message.content == "corrected"


async def test_a_name_stands_once_its_send_was_accepted() -> None:
    outbox, name = Outbox(), str(uuid.uuid4())
    messages = service(outbox)
    first = await messages.send(ANN, send("first", name))
    outbox.flights[0].set_result(None)
    await asyncio.sleep(0)

    again = await messages.send(ANN, send("first", name))
    assert again.result.message.id == first.result.message.id
    with pytest.raises(Conflict):
        await messages.send(ANN, send("other", name))
