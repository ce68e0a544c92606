"""Two live conversations, and the check that bad input has not changed what is stored of them."""

import itertools
from typing import Any, Self

from clients.chat import ChatUsers, Socket, User
from parley.shared.search_index import INDEXED

Documents = dict[str, dict[str, Any]]
HEAD = ("lastSeq", "rev", "lastMessage", INDEXED)
"""Fields of a conversation that every valid message changes, the search index' mark a moment later."""
OWN = ("ownSeq", "ownSinceRead")
"""Fields of the sender's membership that every valid message changes."""


def refusal(answer: Any, code: str) -> dict[str, Any]:
    """Check that an acknowledgement or a body is a permanent error with this code; return the error."""
    assert answer["success"] is False, answer
    error: dict[str, Any] = answer["error"]
    assert error["code"] == code, error
    assert error["retryable"] is False
    assert isinstance(error["message"], str)
    assert error["message"]
    return error


class Baseline:
    """Alice and Bob talk in `group`; Carol and Dave talk in `elsewhere`, which Alice is not a member of.

    Each conversation has messages: `message` is Alice's, `reply` is Bob's, `foreign` is Carol's.
    """

    alice: Socket
    bob: Socket
    carol: Socket
    group: str
    elsewhere: str
    message: dict[str, Any]
    reply: dict[str, Any]
    foreign: dict[str, Any]

    def __init__(self, users: ChatUsers, database: Any) -> None:
        self.users = users
        self._database = database
        self._before: dict[str, Documents] = {}
        self._numbers = itertools.count()

    async def prepare(self) -> Self:
        """Create the conversations and their messages, and capture what is stored."""
        self.alice, self.bob, self.carol = await self.users.sockets("alice", "bob", "carol")
        self.group = await self.users.group(self.alice, "bob")
        self.elsewhere = await self.users.group(self.carol, "dave")
        self.message = await self.send_and_store(self.alice, self.group)
        self.reply = await self.send_and_store(self.bob, self.group)
        self.foreign = await self.send_and_store(self.carol, self.elsewhere)
        await self.capture()
        return self

    @property
    def user(self) -> User:
        """Alice."""
        return self.users.user("alice")

    async def capture(self) -> None:
        """Take the present state as the one to compare with at the end."""
        self._before = await self._stored()

    async def send_and_store(self, socket: Socket, conversation_id: str) -> dict[str, Any]:
        """Send a valid message and wait until it is stored; return it with its number."""
        name = f"good-{next(self._numbers)}"
        message = await socket.send(conversation_id, "all is well", tempId=name)
        sent = await socket.wait_for("messageSent", tempId=name)
        return {**message, "seq": sent["seq"]}

    async def assert_refused(
        self, code: str, event: str, *args: Any, socket: Socket | None = None
    ) -> dict[str, Any]:
        """Emit a bad event (as Alice by default), and check the refusal; return the error."""
        answer = await (socket or self.alice).io.call(event, args, namespace="/chat", timeout=10)
        return refusal(answer, code)

    async def assert_refused_by_rest(
        self, status: int, code: str, method: str, path: str, body: Any = None, **query: Any
    ) -> dict[str, Any]:
        """Make a bad REST request as Alice, and check the refusal; return the error."""
        got, answer = await self.user.rest(method, path, body, **query)
        assert got == status, answer
        return refusal(answer, code)

    async def assert_unchanged(self) -> None:
        """Check that the sockets still work, and that only the messages of this check are new."""
        # A partition keeps its order: all records accepted before these messages are stored before them.
        last_messages = {
            conversation_id: await self.send_and_store(socket, conversation_id)
            for socket, conversation_id in ((self.alice, self.group), (self.carol, self.elsewhere))
        }
        after = await self._stored()
        for conversation_id, message in last_messages.items():
            assert message["seq"] == self._before["conversations"][conversation_id]["lastSeq"] + 1
            del after["messages"][message["_id"]]
        assert _at_rest(after) == _at_rest(self._before)

    async def _stored(self) -> dict[str, Documents]:
        ids = [self.users.user(name).id for name in ("alice", "bob", "carol", "dave")]
        theirs = {"$in": ids}
        conversations = await self._of("conversations", {"createdBy": theirs})
        in_them = {"conversationId": {"$in": list(conversations)}}
        return {
            "conversations": conversations,
            "memberships": await self._of("memberships", in_them)
            | await self._of("memberships", {"userId": theirs}),
            "messages": await self._of("messages", in_them)
            | await self._of("messages", {"senderId": theirs}),
        }

    async def _of(self, collection: str, query: dict[str, Any]) -> Documents:
        found = await self._database[collection].find(query).to_list(None)
        return {document["_id"]: document for document in found}


def _at_rest(stored: dict[str, Documents]) -> dict[str, Documents]:
    return {
        "conversations": {key: _without(d, HEAD) for key, d in stored["conversations"].items()},
        "memberships": {key: _without(d, OWN) for key, d in stored["memberships"].items()},
        "messages": stored["messages"],
    }


def _without(document: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}
