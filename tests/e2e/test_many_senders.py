"""Many concurrent senders: no gap, no duplicate, each sender's order, one order for all receivers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from clients.chat import ChatUsers, eventually
from clients.invariants import assert_consistent, assert_received, assert_stored
from clients.recording_clients import RecordingClient, RecordingClients
from parley.shared.mongo import Database
from parley.stack import Stack

SENDERS = 200
EACH = 8
"""Messages of each sender. All of them stay below the bytes that a polling client may leave unread: a busy
machine answers a poll late, with everything that was sent meanwhile."""
PAIRS = 50
AT_ONCE = 10


@pytest.fixture
async def clients(users: ChatUsers) -> AsyncIterator[RecordingClients]:
    async with RecordingClients(users) as clients:
        yield clients


async def pipeline(client: RecordingClient, conversation_id: str, named: bool) -> None:
    """Send all messages at once, without waiting for the acknowledgements; a busy machine may refuse some."""
    names = [{"clientMessageId": str(uuid4())} if named else {} for _ in range(EACH)]
    sent = [client.send(conversation_id, f"{n} of {client.user_id}", **name) for n, name in enumerate(names)]
    await asyncio.gather(*sent)
    assert {refusal["code"] for refusal in client.refusals} <= {"OVERLOADED"}


async def test_two_hundred_senders_of_one_conversation(
    stack: Stack, users: ChatUsers, clients: RecordingClients, database: Database
) -> None:
    names = [f"sender-{number}" for number in range(SENDERS)]
    group = await clients.create_group(*names)
    senders = await clients.connect_all(names, stack.gateway_urls)
    polling = [await clients.connect(names[n], url, "polling") for n, url in enumerate(stack.gateway_urls)]
    through_nginx = [await clients.connect(names[n]) for n in range(2)]
    listeners = [*polling, *through_nginx, *senders[::20]]
    await asyncio.gather(*(listener.join(group) for listener in listeners))
    assert {client.node for client in listeners} == {"g1", "g2"}

    await asyncio.gather(*(pipeline(v, group, n % 2 == 0) for n, v in enumerate(senders)))

    messages = await assert_consistent(
        database, users, group, senders=senders, listeners=listeners, deadline=30
    )
    assert len(messages) == sum(len(client.sent[group]) for client in senders) >= SENDERS * EACH / 2
    by_id = {m["_id"]: m["seq"] for m in messages}
    for client in senders:
        assert Counter((c["messageId"], c["seq"]) for c in client.confirmed) == Counter(
            (m["_id"], by_id[m["_id"]]) for m in messages if m["senderId"] == client.user_id
        )

    def are_counted() -> bool:
        return all(client.unread.get(group) == len(messages) - len(client.sent[group]) for client in senders)

    await eventually(are_counted)


async def test_the_same_send_by_two_gateways_at_once_is_one_message(
    stack: Stack, users: ChatUsers, clients: RecordingClients, database: Database
) -> None:
    group = await clients.create_group("alice", "bob")
    alice = await clients.connect_all(["alice", "alice"], stack.gateway_urls)
    bob = await clients.connect_all(["bob", "bob"], stack.gateway_urls)
    assert [client.node for client in alice] == ["g1", "g2"]
    await asyncio.gather(*(client.join(group) for client in [*alice, *bob]))

    sent = []
    for start in range(0, PAIRS, AT_ONCE):
        pairs = [(f"pair {n}", str(uuid4())) for n in range(start, start + AT_ONCE)]
        answers = await asyncio.gather(
            *(v.send(group, content, clientMessageId=name) for content, name in pairs for v in alice)
        )
        ids = [answer["message"]["_id"] for answer in answers]
        assert ids[::2] == ids[1::2]
        sent += [content for content, _ in pairs]

    messages = await assert_stored(database, group, {users.user("alice").id: sent})
    await assert_received([*alice, *bob], group, messages)
    await eventually(lambda: all(len(client.confirmed) >= 2 * PAIRS for client in alice))
    for client in alice:
        once = Counter((c["clientMessageId"], c["messageId"], c["seq"]) for c in client.confirmed)
        assert once == {(m["clientMessageId"], m["_id"], m["seq"]): 2 for m in messages}
