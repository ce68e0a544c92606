"""After MongoDB was restored to an earlier point, clients learn of it, and nothing is dropped silently."""

from dataclasses import dataclass
from typing import Any

import pytest

from clients.chat import ChatUsers, Socket, eventually
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, MESSAGES
from parley.shared.mongo import Database

KEPT, LOST = 3, 4
"""Messages before the backup, and after it."""


@dataclass
class Backup:
    """The documents of one conversation, as they were."""

    conversation_id: str
    documents: dict[str, list[dict[str, Any]]]

    @classmethod
    async def take(cls, database: Database, conversation_id: str) -> "Backup":
        names = {CONVERSATIONS: "_id", MEMBERSHIPS: "conversationId", MESSAGES: "conversationId"}
        found = {n: await database[n].find({key: conversation_id}).to_list(None) for n, key in names.items()}
        return cls(conversation_id, found)

    async def restore(self, database: Database) -> None:
        await database[MESSAGES].delete_many({"conversationId": self.conversation_id})
        for name, documents in self.documents.items():
            for document in documents:
                await database[name].replace_one({"_id": document["_id"]}, document, upsert=True)


@dataclass
class Restored:
    """A group whose last messages were lost by a restoration, and how far ann had received it before."""

    group: str
    ann: Socket
    rev: int
    epoch: int


async def store(socket: Socket, group: str, *contents: str) -> dict[str, Any]:
    """Send messages one after the other. Returns the last one's confirmation."""
    sent: dict[str, Any] = {}
    for content in contents:
        message = await socket.send(group, content)
        sent = await socket.wait_for("messageSent", messageId=message["_id"])
    return sent


@pytest.fixture
async def restored(users: ChatUsers, database: Database) -> Restored:
    (ann,) = await users.sockets("ann")
    group = await users.group(ann, "bob")
    await ann.call_ok("joinRoom", {"conversationId": group})
    await store(ann, group, *(f"kept {n}" for n in range(KEPT)))
    backup = await Backup.take(database, group)
    last = await store(ann, group, *(f"lost {n}" for n in range(LOST)))
    await backup.restore(database)
    return Restored(group, ann, last["rev"], last["epoch"])


async def sync(users: ChatUsers, group: str, held: Any) -> dict[str, Any]:
    socket = await users.user("bob").socket()
    answer = await socket.call_ok("sync", {"conversations": {group: held}})
    changes: dict[str, Any] = answer["conversations"][group]
    return changes


@pytest.mark.parametrize("knows_epochs", [True, False])
async def test_a_client_ahead_of_a_restored_conversation_gets_too_far(
    users: ChatUsers, restored: Restored, knows_epochs: bool
) -> None:
    held = {"rev": restored.rev, "epoch": restored.epoch} if knows_epochs else restored.rev

    changes = await sync(users, restored.group, held)

    assert changes["tooFar"] is True
    assert changes["rev"] == KEPT


async def test_a_client_gets_too_far_when_other_messages_have_its_revisions(
    users: ChatUsers, restored: Restored
) -> None:
    bob = await users.user("bob").socket()
    sent = await store(bob, restored.group, *(f"new {n}" for n in range(2 * LOST)))

    changes = await sync(users, restored.group, {"rev": restored.rev, "epoch": restored.epoch})

    assert changes["tooFar"] is True
    assert (changes["rev"], changes["epoch"]) == (sent["rev"], sent["epoch"])
    assert sent["rev"] > restored.rev
    assert sent["epoch"] != restored.epoch


async def test_a_client_that_holds_only_restored_messages_gets_the_new_ones(
    users: ChatUsers, restored: Restored
) -> None:
    bob = await users.user("bob").socket()
    await store(bob, restored.group, "new")

    changes = await sync(users, restored.group, {"rev": KEPT, "epoch": restored.epoch})

    assert [message["content"] for message in changes["messages"]] == ["new"]


async def test_a_connected_client_loses_its_connection_and_goes_on_with_the_restored_messages(
    users: ChatUsers, restored: Restored
) -> None:
    bob = await users.user("bob").socket()
    await store(bob, restored.group, "new")

    await eventually(lambda: not restored.ann.connected)
    ann = await users.user("ann").socket()
    joined = await ann.call_ok("joinRoom", {"conversationId": restored.group})
    await store(bob, restored.group, "newer")
    received = await ann.wait_for("newMessage", conversationId=restored.group)

    assert joined["rev"] == KEPT + 1
    assert received["message"]["content"] == "newer"
    assert received["message"]["seq"] == KEPT + 2
