"""A clientMessageId belongs to the first message that was accepted with it."""

import asyncio
import uuid

import pytest

from parley.gateway.core.commands import SendMessage
from parley.gateway.core.errors import Conflict, Unavailable
from parley.gateway.core.eventual import is_awaitable
from parley.gateway.core.results import PendingCommit
from parley.gateway.services.access import Access
from parley.gateway.services.messages import MessageService
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Membership, Person, now
from parley.shared.records import Record

ANN = Person(id="ann")


class Outbox:
    """An outbox whose records a test confirms or fails."""

    def __init__(self) -> None:
        self.confirms: list[asyncio.Future[None]] = []

    def put(self, record: Record) -> "asyncio.Future[None]":
        self.confirms.append(asyncio.get_running_loop().create_future())
        return self.confirms[-1]


def service(outbox: Outbox) -> MessageService:
    cache = MembershipCache()
    cache.add_socket(ANN)
    cache.put(Membership(conversation_id="c", user_id="ann", joined_at=now()))
    nobody = None
    return MessageService(Access(cache, nobody, nobody), outbox, nobody)  # type: ignore[arg-type]


def send(content: str, client_message_id: str) -> SendMessage:
    return SendMessage(conversation_id="c", content=content, client_message_id=client_message_id)


async def test_a_client_message_id_is_free_again_when_its_send_failed() -> None:
    outbox, id_ = Outbox(), str(uuid.uuid4())
    messages = service(outbox)
    await messages.send(ANN, send("first", id_))
    outbox.confirms[0].set_exception(Unavailable("away"))
    await asyncio.sleep(0)

    corrected = await messages.send(ANN, send("corrected", id_))

    assert corrected.result.message.content == "corrected"


async def test_a_client_message_id_is_taken_once_its_send_was_accepted() -> None:
    outbox, id_ = Outbox(), str(uuid.uuid4())
    messages = service(outbox)
    first = await messages.send(ANN, send("first", id_))
    outbox.confirms[0].set_result(None)
    await asyncio.sleep(0)

    again = await messages.send(ANN, send("first", id_))
    assert again.result.message.id == first.result.message.id
    with pytest.raises(Conflict):
        await messages.send(ANN, send("other", id_))


async def test_a_send_waits_for_nothing_if_its_sender_is_known_as_a_member() -> None:
    messages = service(Outbox())
    begun = messages.begin_send(ANN, send("first", str(uuid.uuid4())))
    assert isinstance(begun, PendingCommit)
    assert begun.result.message.content == "first"


async def test_a_send_waits_for_the_membership_of_a_sender_who_is_not_known_yet() -> None:
    cache, read = MembershipCache(), []

    class Memberships:
        async def get(self, conversation_id: str, user_id: str) -> Membership | None:
            read.append((conversation_id, user_id))
            return Membership(conversation_id=conversation_id, user_id=user_id, joined_at=now())

    access = Access(cache, Memberships(), None)  # type: ignore[arg-type]
    messages = MessageService(access, Outbox(), None)  # type: ignore[arg-type]
    begun = messages.begin_send(ANN, send("first", str(uuid.uuid4())))
    assert is_awaitable(begun)
    assert (await begun).result.message.sender_id == "ann"
    assert read == [("c", "ann")]
