"""`parley verify` finds each kind of inconsistency, and repairs what can be repaired safely."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients.chat import ChatUsers, eventually
from clients.database import open_database
from clients.invariants import assert_unread_counts, how_many, stored_messages
from clients.operators import Answer, Operator
from parley.shared.documents import ATTACHMENT_USES, ATTACHMENTS, to_document
from parley.shared.indexes import INDEXES
from parley.shared.migrations import migrate
from parley.shared.model import Attachment, Conversation, Membership, Message, new_id, now
from parley.shared.mongo import Database
from parley.stack import Stack

pytestmark = pytest.mark.slow  # Each test starts the command some times.


@pytest.fixture
def operator(stack: Stack, tmp_path: Path) -> Operator:
    return Operator(stack, tmp_path)


@pytest.fixture
async def group(users: ChatUsers, database: Database) -> str:
    """A group with five messages of Alice, of which Bob has read two."""
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for number in range(1, 6):
        await alice.call_ok("sendMessage", {"conversationId": group, "content": f"number {number}"})
    await eventually(lambda: _has(database, group, 5))
    second = (await stored_messages(database, group))[1]
    await bob.call_ok("markAsRead", {"conversationId": group, "messageId": second["_id"]})
    await eventually(lambda: _is_read(database, group, bob_id(users), 2))
    return group


def bob_id(users: ChatUsers) -> str:
    return users.user("bob").id


async def _has(database: Database, group: str, count: int) -> bool:
    head = await database.conversations.find_one({"_id": group})
    assert head is not None
    return bool(head["lastSeq"] == count == await how_many(database, group))


async def _is_read(database: Database, group: str, user: str, seq: int) -> bool:
    member = await database.memberships.find_one({"_id": f"{group}:{user}"})
    return member is not None and bool(member["readSeq"] == seq)


def kinds(answer: Answer) -> list[tuple[str, bool]]:
    """Return the kind of each inconsistency, and whether it was repaired."""
    return [(row["kind"], row["repaired"]) for row in answer.rows[:-1]]


async def test_a_conversation_in_order_is_recounted_without_a_finding(operator: Operator, group: str) -> None:
    answer = await operator.run("verify", "--conversation", group, "--json")
    assert answer.code == 0, answer
    (totals,) = answer.rows
    assert (totals["ok"], totals["conversations"], totals["messages"]) == (True, 1, 5)
    text = await operator.run("verify", "--conversation", group)
    assert text.out.startswith("5 messages of 1 conversations")


async def test_a_hole_in_the_numbers_is_found_and_not_repaired(
    operator: Operator, group: str, database: Database
) -> None:
    await database.messages.delete_many({"conversationId": group, "seq": {"$in": [2, 3, 5]}})
    for _ in range(2):
        answer = await operator.run("verify", "--conversation", group, "--repair", "--json")
        assert answer.code == 1
        assert ("hole", False) in kinds(answer)
        assert "lacks 3 message(s), numbers 2 to 3, 5: restore them" in answer.rows[0]["text"]


async def test_a_wrong_counter_is_found_and_repaired(
    operator: Operator, group: str, database: Database, users: ChatUsers
) -> None:
    alice = f"{group}:{users.user('alice').id}"
    await database.memberships.update_one({"_id": alice}, {"$inc": {"ownSinceRead": -2}})
    found = await operator.run("verify", "--conversation", group, "--json")
    assert (found.code, kinds(found)) == (1, [("counter", False)])
    assert found.rows[0]["user"] == users.user("alice").id
    assert "the unread count is wrong by 2: --repair corrects it." in found.rows[0]["text"]
    repaired = await operator.run("verify", "--conversation", group, "--repair")
    assert repaired.code == 0
    assert repaired.out.startswith("repaired: Conversation ")
    assert (await operator.run("verify", "--conversation", group)).code == 0
    await assert_unread_counts(database, users, group)


async def test_a_head_behind_its_messages_is_found_and_moved(
    operator: Operator, group: str, database: Database, users: ChatUsers
) -> None:
    right = await database.conversations.find_one({"_id": group})
    assert right is not None
    third = (await stored_messages(database, group))[2]
    behind = {"lastSeq": 3, "rev": 3, "epochs": [], "lastMessage.seq": 3, "lastMessage.id": third["_id"]}
    await database.conversations.update_one({"_id": group}, {"$set": behind})
    found = await operator.run("verify", "--conversation", group, "--json")
    assert ("head", False) in kinds(found)
    repaired = await operator.run("verify", "--conversation", group, "--repair", "--json")
    assert ("head", True) in kinds(repaired)
    stored = await database.conversations.find_one({"_id": group})
    assert stored is not None
    beside = {"epochs": [], "indexed": None}
    assert {**stored, **beside} == {**right, **beside}
    assert [epoch["since"] for epoch in stored["epochs"]] == [4]
    assert stored["epochs"][-1]["id"] == right["epochs"][-1]["id"]
    alice = await users.user("alice").socket()
    await alice.call_ok("sendMessage", {"conversationId": group, "content": "number 6"})
    await eventually(lambda: _has(database, group, 6))
    assert (await operator.run("verify", "--conversation", group)).code == 0
    await assert_unread_counts(database, users, group)


async def test_a_conversation_that_is_written_meanwhile_is_in_order(
    operator: Operator, group: str, users: ChatUsers, database: Database
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    verifying = asyncio.create_task(operator.run("verify", "--conversation", group, "--json"))
    sent = 5
    while not verifying.done():
        for sender in (alice, bob):
            await sender.call_ok("sendMessage", {"conversationId": group, "content": "one more"})
            sent += 1
    assert verifying.result().code == 0, verifying.result()
    await eventually(lambda: _has(database, group, sent))


async def test_an_unknown_conversation_and_a_database_that_is_away_are_one_sentence_each(
    operator: Operator,
) -> None:
    unknown = await operator.run("verify", "--conversation", "nonsense")
    assert (unknown.code, unknown.err) == (2, "parley: There is no conversation nonsense.\n")
    away = await operator.run("verify", MONGO_URL="mongodb://127.0.0.1:1/parley")
    assert away.code == 2
    assert away.err.startswith("parley: MongoDB cannot be reached (")
    assert away.err.count("\n") == 1


# References of attachments: in a database of its own, which no service writes.


@dataclass(frozen=True)
class OwnDatabase:
    """A database of the test, and the command on it."""

    database: Any
    operator: Operator
    url: str

    async def verify(self, *arguments: str) -> Answer:
        return await self.operator.run("verify", "--json", *arguments, MONGO_URL=self.url)


@pytest.fixture
async def own(stack: Stack, operator: Operator) -> AsyncIterator[OwnDatabase]:
    server, _, query = stack.mongo_url.partition("/parley")
    url = f"{server}/verify_{uuid.uuid4().hex[:8]}{query}"
    async with open_database(url) as database:
        await migrate(database, {name: INDEXES[name] for name in ("messages", "memberships")})
        yield OwnDatabase(database, operator, url)
        await database.client.drop_database(database.name)


async def fill(database: Any, messages: int, attachments: tuple[Attachment, ...] = ()) -> list[str]:
    """Store a conversation of two members, in order; return the ids of its messages."""
    conversation = new_id()
    head = Conversation(
        id=conversation, kind="group", created_by="a", created_at=now(), last_seq=messages, rev=messages
    )
    await database.conversations.insert_one(to_document(head))
    for user, own in (("a", messages), ("b", 0)):
        member = Membership(
            conversation_id=conversation, user_id=user, joined_at=now(), own_seq=messages, own_since_read=own
        )
        await database.memberships.insert_one(to_document(member))
    stored = [
        Message(
            id=new_id(), conversation_id=conversation, sender_id="a", content="x", created_at=now(), seq=seq,
            rev=seq, attachments=attachments,
        )
        for seq in range(1, messages + 1)
    ]  # fmt: skip
    await database.messages.insert_many([to_document(message) for message in stored])
    return [message.id for message in stored]


async def test_all_conversations_are_recounted(own: OwnDatabase) -> None:
    for messages in (1, 2_500, 30):
        await fill(own.database, messages)
    answer = await own.verify()
    assert answer.code == 0, answer
    assert (answer.rows[-1]["conversations"], answer.rows[-1]["messages"]) == (3, 2_531)
    await own.database.messages.delete_one({"seq": 1_234})
    answer = await own.verify()
    assert (answer.code, kinds(answer)[0]) == (1, ("hole", False))
    assert "numbers 1234:" in answer.rows[0]["text"]


async def test_a_missing_reference_is_added_and_a_dangling_one_removed(own: OwnDatabase) -> None:
    (message,) = await fill(
        own.database, 1, (Attachment(id="file", name="a.txt", size=1, type="text/plain"),)
    )
    upload = {"_id": "file", "conversationId": "c", "condemned": True, "loose": 1}
    await own.database[ATTACHMENTS].insert_one(upload)
    await own.database[ATTACHMENT_USES].insert_one({"_id": "file:gone", "attachmentId": "file"})
    found = await own.verify()
    assert (found.code, kinds(found)) == (1, [("reference", False), ("dangling", False)])
    repaired = await own.verify("--repair")
    assert (repaired.code, kinds(repaired)) == (0, [("reference", True), ("dangling", True)])
    references = await own.database[ATTACHMENT_USES].find({}).to_list(None)
    assert [use["_id"] for use in references] == [f"file:{message}"]
    assert await own.database[ATTACHMENTS].find_one({}) == {"_id": "file", "conversationId": "c"}
    assert (await own.verify()).code == 0


async def test_an_upload_that_is_marked_is_kept_and_one_that_is_gone_is_reported(own: OwnDatabase) -> None:
    (message,) = await fill(
        own.database, 1, (Attachment(id="file", name="a.txt", size=1, type="text/plain"),)
    )
    assert kinds(await own.verify("--repair")) == [("upload", False)]
    await own.database[ATTACHMENTS].insert_one({"_id": "file", "condemned": True, "loose": 1})
    await own.database[ATTACHMENT_USES].insert_one({"_id": f"file:{message}", "attachmentId": "file"})
    assert kinds(await own.verify("--repair")) == [("mark", True)]
    assert await own.database[ATTACHMENTS].find_one({}) == {"_id": "file"}
